"""IS IT STILL WHAT WAS CHECKED? Canary, shadow and drift on the live engine. No torch; docs/monitoring.md."""

from trimtab.serving.monitoring.checked import Checked as Checked
from trimtab.serving.monitoring.monitor import Answered as Answered
from trimtab.serving.monitoring.monitor import Monitor as Monitor
from trimtab.serving.monitoring.monitor import Watching as Watching
from trimtab.serving.monitoring.observations import Alarm as Alarm
from trimtab.serving.monitoring.observations import AlarmKind as AlarmKind
from trimtab.serving.monitoring.observations import Observations as Observations
from trimtab.serving.monitoring.setups import Setup as Setup
