"""`python -m tests.service.example`."""

from libs.service.lifecycle import main
from tests.service.example.app import build
from tests.service.example.settings import ExampleSettings

if __name__ == "__main__":
    main(ExampleSettings, build)
