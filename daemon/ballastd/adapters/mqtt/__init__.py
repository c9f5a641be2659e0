"""MQTT: native telemetry in, notices and cordon requests out. The only place that imports aiomqtt and paho."""
