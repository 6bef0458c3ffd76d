import os, random, signal, time, collections
from collector import Answer
from lib.ledger import Numbered, losses, once, LOSS
from lib.wait import wait_until
KILLS=int(os.environ.get("KILLS","300"))
SEED=int(os.environ.get("SEED","1"))
MODE=os.environ.get("MODE","plain")
def test_stress(network, netlogd, collector_in, directory):
    chance=random.Random(SEED)
    ns=network.namespace(); collector=collector_in(ns)
    width={"plain":50,"cap":2000}[MODE]
    provider=Numbered(directory/"vpn.sock", width)
    sections={**provider.sections(),"record":{"period":"100ms"},
      "spool":{"max-size":"1M" if MODE=="cap" else "64M","sync-interval":"50ms"},
      "upload main":{"type":"logtail","url":collector.url,"collection":"test"}}
    daemon=netlogd(ns,sections)
    ck=uk=0
    maxdu=0
    def du():
        t=0
        for r,d,f in os.walk(daemon.state/"spool"):
            for n in f+[""]:
                try: t+=os.lstat(os.path.join(r,n) if n else r).st_blocks*512
                except FileNotFoundError: pass
        return t
    try:
        daemon.start()
        down=False
        for i in range(KILLS):
            time.sleep(chance.random()*0.45)
            maxdu=max(maxdu,du())
            if MODE=="cap" and chance.random()<0.12:
                down=not down
                collector.default=Answer(503) if down else Answer(200)
            if chance.random()<0.5 and daemon.uploader():
                try: os.kill(daemon.uploader(),signal.SIGKILL); uk+=1
                except (ProcessLookupError,TypeError): pass
            else:
                daemon.kill(); ck+=1
                daemon.start()
        collector.default=Answer(200)
        wait_until(lambda: daemon.status()["uploader"]["connected"],"up",60)
        print(daemon.flush(30000))
        st=daemon.status()
        print({k:v for k,v in st["sinks"][0].items()}, st["spool"])
        daemon.stop()
    finally:
        provider.close()
    messages=once(collector.accepted)
    got=provider.numbers(messages)
    missing=sorted(set(range(1,provider.handed+1))-got)
    told=losses(messages)
    by=collections.Counter(l[4] for l in told)
    lostsum=sum(l[0] for l in told)
    runs={}
    holes=0
    order=[]
    for m in messages:
        h=m["logtail"]
        if "proc_seq" in h:
            runs.setdefault(h["proc_id"],[]).append(h["proc_seq"])
            if not order or order[-1]!=h["proc_id"]: order.append(h["proc_id"])
    assert len(order)==len(set(order)), "runs interleave"
    for p,n in runs.items():
        assert n==sorted(set(n)), n
        holes+=n[-1]-len(n)
    print(f"RESULT mode={MODE} seed={SEED} kills collector={ck} uploader={uk} generated={provider.handed} received={len(got)} missing={len(missing)} told_losses={lostsum} {dict(by)} holes_by_seq={holes} runs={len(runs)} requests={len(collector.requests)} accepted={len(collector.accepted)} maxdu={maxdu}")
    assert len(missing)<=ck+lostsum
    if MODE=="plain": assert told==[] and holes==0
    else:
        # losses include text messages and messages at the end of runs killed
        assert holes<=lostsum
        assert maxdu<=1<<20
