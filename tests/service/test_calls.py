"""One call from key to answer."""

from tests.service.conftest import Example


async def test_a_note_is_written_and_read_in_the_stores_offset(example: Example) -> None:
    async with example.client() as client:
        written = await client.post("/v1/notes", json={"note_id": "n-1", "text": "hello", "at": "2024-07-01T02:00:00Z"})
        assert written.status_code == 201, written.text
        assert written.json() == {
            "note_id": "n-1", "text": "hello", "weight": 1, "version": 1, "written_at": "2024-07-01T10:00:00+08:00",
        }  # fmt: skip
        assert written.headers["etag"] == '"1"'
        assert written.headers["location"] == "/v1/notes/n-1"
        shown = await client.get("/v1/notes/n-1")
        assert shown.json() == written.json()
