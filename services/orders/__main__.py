"""`python -m services.orders`"""

from libs.service.lifecycle import main
from services.orders.app import build
from services.orders.settings import OrdersSettings

if __name__ == "__main__":
    main(OrdersSettings, build)
