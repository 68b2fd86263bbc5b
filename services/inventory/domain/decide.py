"""One door to every decision: a command, the book it works on, and the time."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from libs.service.errors import Problem
from services.inventory.domain import commands as c
from services.inventory.domain import goods, holds, orders
from services.inventory.domain.book import Book

Decision = Callable[[Book, Any, datetime], c.Outcome | Problem]

DECISIONS: Mapping[type[c.Command], Decision] = {
    c.Receive: goods.receive,
    c.Adjust: goods.adjust,
    c.Count: goods.count,
    c.LockStock: goods.lock_stock,
    c.Unlock: goods.unlock,
    c.Describe: goods.describe,
    c.Reserve: holds.reserve,
    c.Release: holds.release,
    c.Allocate: holds.allocate,
    c.Expire: holds.expire,
    c.AcceptOutside: orders.accept_outside,
    c.Pay: orders.pay,
    c.Cancel: orders.cancel,
    c.Amend: orders.amend,
    c.Ship: orders.ship,
    c.AwaitReturn: orders.await_return,
    c.TakeBack: orders.take_back,
    c.Complete: orders.complete,
}


def decide(book: Book, command: c.Command, now: datetime) -> c.Outcome | Problem:
    """Do what was asked, in the book; a problem is an answer too, and leaves nothing half done."""
    return DECISIONS[type(command)](book, command, now)
