"""Random faults thrown at real migrations on the lab, and an oracle that looks at the guests themselves."""
