"""YAML to compiled settings and policies. pydantic stops here."""

from ballastd.documents.loading import LoadedPolicies, load_policies
from ballastd.documents.power_settings import PowerCommandSettings, PowerRedfishSettings, PowerSettings
from ballastd.documents.reference import policy_schema
from ballastd.documents.settings import (
    ApiSettings,
    LibvirtSettings,
    LoggingSettings,
    MetricsSettings,
    MqttSettings,
    Settings,
    load_settings,
)

__all__ = [
    "ApiSettings",
    "LibvirtSettings",
    "LoadedPolicies",
    "LoggingSettings",
    "MetricsSettings",
    "MqttSettings",
    "PowerCommandSettings",
    "PowerRedfishSettings",
    "PowerSettings",
    "Settings",
    "load_policies",
    "load_settings",
    "policy_schema",
]
