import sys
from tests.lab import keeper
def main():
    a=sys.argv
    if a[1]=="keep": keeper.keep(a[2], detached="--detached" in a)
