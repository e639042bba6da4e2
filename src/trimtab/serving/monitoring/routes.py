"""`/v1/monitoring`: what the server has seen of its steerings, for keys with the scope `read`."""

from fastapi import APIRouter, Depends

from trimtab.serving.caller import needs
from trimtab.serving.inference import ERRORS
from trimtab.serving.monitoring.monitor import Monitor
from trimtab.serving.protocol.monitoring import MonitoringCard


def monitoring(monitor: Monitor) -> APIRouter:
    """The route."""
    router = APIRouter(responses=ERRORS, dependencies=[Depends(needs("read"))])

    @router.get("/v1/monitoring")
    async def observed() -> MonitoringCard:
        """Canaries, live figures of each steering beside their references, and alarms, since the server started."""
        return MonitoringCard.model_validate(monitor.observations.record)

    return router
