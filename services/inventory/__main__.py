"""python -m services.inventory"""

from libs.service.lifecycle import main
from services.inventory.app import build
from services.inventory.settings import InventorySettings

if __name__ == "__main__":
    main(InventorySettings, build)
