"""Personal data at rest: AES-256-GCM by column, bound to its store, order and column, so that no value can be moved."""

import os
from collections.abc import Callable
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.service.privacy import HIDDEN, mask_name, mask_phone
from services.orders.domain.review import Consignee
from services.orders.store import SealedConsignee

_NONCE_BYTES = 12
_VERSION = b"\x01"


class Sealer:
    """Encrypts and decrypts consignees with one key an installation."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        """`key` gives the installation's sealing key, once it is known."""
        self._key = key

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._key())

    def seal(self, store: str, order_id: str, consignee: Consignee) -> SealedConsignee:
        """As it may be kept."""
        return SealedConsignee(
            name=self._encrypt(consignee.name, store, order_id, "name"),
            phone=self._encrypt(consignee.phone, store, order_id, "phone"),
            address=self._encrypt(consignee.address, store, order_id, "address"),
            province=consignee.province,
            city=consignee.city,
        )

    def open(self, store: str, order_id: str, sealed: SealedConsignee) -> Consignee:
        """As the customer gave it. Raises ValueError when the row is not what was written."""
        return Consignee(
            name=self._decrypt(sealed.name, store, order_id, "name"),
            phone=self._decrypt(sealed.phone, store, order_id, "phone"),
            province=sealed.province,
            city=sealed.city,
            address=self._decrypt(sealed.address, store, order_id, "address"),
        )

    def seal_bytes(self, plain: bytes, *place: str) -> bytes:
        """Anything else that must not lie open: raw webhooks, the secrets of shops. Bound to `place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _bound_to(place))

    def open_bytes(self, sealed: bytes, *place: str) -> bytes:
        """What was sealed for `place`. Raises ValueError when it is not what was written there."""
        nonce, secret = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, secret, _bound_to(place))
        except InvalidTag as error:
            raise ValueError("personal data was written with another key, or moved") from error

    def _encrypt(self, plain: str, *place: str) -> bytes:
        return self.seal_bytes(plain.encode(), *place)

    def _decrypt(self, sealed: bytes, *place: str) -> str:
        return self.open_bytes(sealed, *place).decode()


def _bound_to(place: tuple[str, ...]) -> bytes:
    return "\0".join(place).encode()


def masked(consignee: Consignee) -> Consignee:
    """As everybody may see it: `张*`, `138****5678`, `***`."""
    return Consignee(
        name=mask_name(consignee.name),
        phone=mask_phone(consignee.phone) if consignee.phone else "",
        province=consignee.province,
        city=consignee.city,
        address=HIDDEN if consignee.address else "",
    )
