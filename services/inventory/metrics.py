"""What inventory measures about itself."""

from prometheus_client import Gauge, Histogram

LANE_BATCH = Histogram(
    "opswire_inventory_lane_batch_size",
    "Calls that one transaction of the lane served.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
LANE_WAITING = Gauge("opswire_inventory_lane_waiting", "Calls that wait for the lane's next transaction.")
