"""SHIM"""
def levels(demand, vm, seed, wall):
    return demand.high, None
