"""Power controllers behind ``ports.Power``: the operator's own commands, and Redfish."""
