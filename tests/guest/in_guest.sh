#!/bin/sh
# Inside the guest, once a boot: what a newcomer does on a stock Debian 12 with systemd and cgroup v2. The stage is in
# /opt/guest/stage; each step writes one line `RESULT <stage> <step> ok|failed <seconds>` to the console, which is a file of the host's.
set -u
export PATH=/opt/wherry/bin:/opt/guest/clients:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
stage=$(cat /opt/guest/stage)
say() { echo "$*" > /dev/ttyS0; }

step() {  # name, then a command; its output goes to the log, and to the console when it fails
    name=$1; shift
    began=$(cut -d. -f1 /proc/uptime)
    if "$@" > /tmp/step.log 2>&1; then word=ok; else word=failed; fi
    say "RESULT $stage $name $word $(( $(cut -d. -f1 /proc/uptime) - began ))"
    { echo "== $stage $name $word"; cat /tmp/step.log; } >> /root/guest.log
    [ $word = ok ] || {
        say "OUTPUT of $name:"; tail -n 25 /tmp/step.log | cut -c1-300 > /dev/ttyS0
        circumstances > /tmp/circumstances 2>&1; cat /tmp/circumstances >> /root/guest.log
        tail -n 120 /tmp/circumstances | cut -c1-300 > /dev/ttyS0
    }
    [ $word = ok ]
}

circumstances() {  # what one wants to read after a failed step
    tail -n 60 /var/lib/wherry/log/*.log; wherry status; kubectl describe pods -n default; kubectl get pods,events -A; free -m
}

network() {
    ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
}

is_cgroup_v2() { [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && [ "$(ps -o comm= 1)" = systemd ]; }
doctor() { wherry doctor; }
up() { wherry up --node-address 10.0.2.15 --timeout 1200; }  # an emulated machine is ten to fifty times slower
eventually() {  # for ten minutes by the clock, for one look takes seconds here
    ends=$(( $(cut -d. -f1 /proc/uptime) + 600 ))
    until "$@"; do [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ] || return 1; sleep 2; done
}

pod() {
    wherry assemble busybox && kubectl apply -f /opt/guest/manifests/web.yaml &&
        kubectl rollout status deployment/web --timeout=400s
}
# Not `wget -T`: with it Debian's static BusyBox 1.35 ends with a segmentation fault, on any machine.
service() { kubectl exec client -- timeout 20 wget -q -O - http://web.default.svc.cluster.local/ | grep web; }
client() { kubectl apply -f /opt/guest/manifests/client.yaml && kubectl wait --for=condition=Ready pod/client --timeout=600s; }
lookup() { kubectl exec client -- nslookup kubernetes.default.svc.cluster.local | grep 10.96.0.1; }
is_killed() { [ "$(kubectl get pod hungry -o 'jsonpath={.status.containerStatuses[0].state.terminated.reason}')" = OOMKilled ]; }
memory() { kubectl apply -f /opt/guest/manifests/hungry.yaml && eventually is_killed; }
volume() {
    kubectl apply -f /opt/guest/manifests/volume.yaml && kubectl wait --for=condition=Ready pod/keeper --timeout=600s &&
        kubectl exec keeper -- sh -c 'echo kept > /data/word && sync'
}
is_full() { ! kubectl exec keeper -- sh -c 'dd if=/dev/zero of=/data/big bs=1M count=200 2>&1; s=$?; rm -f /data/big; exit $s'; }
is_large() { [ "$(kubectl exec keeper -- df -Pm /data | awk 'END { print $2 }')" -gt 100 ]; }
grows() {  # under the running pod, which stays the same one, with what it wrote
    before=$(kubectl get pod keeper -o 'jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID}') &&
        kubectl patch pvc kept -p '{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}' && eventually is_large || return 1
    [ "$(kubectl get pod keeper -o 'jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID}')" = "$before" ] &&
        kubectl exec keeper -- cat /data/word | grep kept && eventually is_told
}
is_told() { kubectl get pvc kept -o 'jsonpath={.status.capacity.storage}' | grep 128Mi; }
through_gateway() { wget -q -T 20 -O - --header 'Host: web.test' http://10.0.2.15/ | grep web; }
gateway() { kubectl apply -f /opt/guest/manifests/ingress.yaml && eventually through_gateway; }
kept() { eventually kubectl exec keeper -- cat /data/word | grep kept; }
everything_again() {
    kubectl rollout status deployment/web --timeout=600s && kubectl wait --for=condition=Ready pod/keeper pod/client --timeout=600s &&
        service
}
acknowledged() {  # every name that was acknowledged before the machine was killed is there
    kubectl get configmaps -n writing -o name > /tmp/there || return 1
    missing=0
    while read -r map; do grep -qx "configmap/$map" /tmp/there || { echo "missing $map"; missing=1; }; done < /opt/guest/acknowledged
    echo "$(wc -l < /opt/guest/acknowledged) acknowledged, $(wc -l < /tmp/there) there"
    [ -s /opt/guest/acknowledged ] && [ $missing = 0 ]
}
is_ready() { [ "$(kubectl get nodes -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')" = True ]; }
clock() {  # of the machine itself, moved by a day: the node stays, a rollout converges, the Service answers
    date -s "$1" && eventually is_ready && kubectl scale deployment/web --replicas="$2" &&
        kubectl rollout status deployment/web --timeout=600s && service && eventually is_ready &&
        [ -z "$(kubectl get nodes -o 'jsonpath={.items[*].spec.taints}')" ]
}
nothing_left() {
    wherry down --purge || return 1
    ! { ip -o link | grep -E 'wh[a-z0-9]*-|wherry'; nft list tables | grep wherry; grep wherry /proc/mounts; losetup -a | grep .
        find /sys/fs/cgroup -maxdepth 1 -name 'wherry*' | grep .; ls /run | grep wherry; ls /var/lib | grep wherry; }
}

network
case $stage in
first)
    step cgroup-v2 is_cgroup_v2
    step doctor doctor
    if step up up; then
        step pod pod && step client client || { say "DONE $stage"; sync; systemctl poweroff; exit 1; }
        step service service; step dns lookup; step memory-limit memory
        step volume volume; step volume-is-full is_full; step volume-grows-in-use grows; step gateway gateway
        kubectl create namespace writing > /dev/null 2>&1
        say "WRITING"
        n=0
        while :; do  # until the host kills the machine
            n=$((n + 1)); kubectl create configmap "w$n" -n writing --from-literal=n=$n > /dev/null 2>&1 && say "ACK w$n"
        done
    fi ;;
killed)
    step up-after-power-cut up && { step acknowledged-writes acknowledged; step workloads-again everything_again; step volume-kept kept; step gateway-again eventually through_gateway; } ;;
rebooted)
    step up-after-reboot up && {
        step workloads-again everything_again; step volume-kept kept
        # Not before the cluster was made: its certificates do not hold there, as anybody's.
        step clock-a-day-ahead clock tomorrow 3; step clock-right-again clock yesterday 2
    }
    step down-purge nothing_left ;;
esac
say "DONE $stage"
sync
systemctl "$([ "$stage" = killed ] && echo reboot || echo poweroff)"
