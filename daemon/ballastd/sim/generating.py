"""SHIM"""
import uuid
from random import Random

from ballastd.core.inventory import *
from ballastd.core.quantities import *
from ballastd.core.saved_cluster import *


def generate(hosts, vms, seed, *, fill=0.4, load=0.3):
    luck=Random(f"{seed} gen")
    hs=[]
    for i in range(hosts):
        gib=luck.choice((64,64,128)); cpus=gib//4
        hs.append(SavedHost(DeclaredHost(HostName(f"h{i+1}"),f"x{i}",power="simulated",link_mib_s=1000.0,memory_limit=Bytes(gib*GIB),labels=(("rack",f"r{i%3}"),),idle_watts=100.0),Bytes((gib+4)*GIB),cpus,busy_watts=300.0))
    out=[]; used={h.name:0 for h in hs}
    total=sum(h.declared.memory_limit for h in hs)
    mean=fill*total/vms
    for j in range(vms):
        size=int(min(24,max(1,luck.expovariate(1/(mean/GIB)))))*GIB
        fits=[h for h in hs if used[h.name]+size<=h.declared.memory_limit*0.75]
        if not fits: continue
        h=luck.choice(fits); used[h.name]+=size
        vcpus=luck.choice((1,2,4))
        kind=luck.choice(list(DemandKind))
        hi=min(vcpus,load*2*vcpus)
        out.append(SavedVm(VmRecord(VmId(str(uuid.UUID(int=luck.getrandbits(128)))),f"vm{j}",VmState.RUNNING,Bytes(size),vcpus=vcpus,group=f"g{j%4}" if j%3==0 else ""),h.name,Demand(kind,low=0.05,high=hi),dirty_mib_s=luck.choice((0,1,10))))
    return SavedCluster(tuple(hs),tuple(sorted(out,key=lambda v:v.record.vm)),f"seed-{seed}")
