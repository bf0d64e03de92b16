// Command k8sbox is etcd, the Kubernetes control plane, the node agents and
// kubectl in one static multi-call binary, built from Go modules alone. The
// part to run is argv[0] (a link named kubelet, say) or the first argument.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the parts expect these
	_ "k8s.io/component-base/metrics/prometheus/version"  // metrics to be registered
)

const usage = "usage: k8sbox etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|kubectl [flags]"

func main() {
	part := filepath.Base(os.Args[0])
	if command(part) == nil && part != "etcd" {
		if len(os.Args) < 2 {
			fail(usage)
		}
		part, os.Args = os.Args[1], os.Args[1:]
	}
	if part == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	newCommand := command(part)
	if newCommand == nil {
		fail(fmt.Sprintf("k8sbox: unknown part %q\n%s", part, usage))
	}
	if part == "kubectl" { // kubectl words its own errors
		if err := cli.RunNoErrOutput(newCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
		return
	}
	os.Exit(cli.Run(newCommand()))
}

// command constructs lazily: each constructor registers flags and metrics.
func command(part string) func() *cobra.Command {
	switch part {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand
	case "kube-controller-manager":
		return controllermanager.NewControllerManagerCommand
	case "kube-scheduler":
		return func() *cobra.Command { return scheduler.NewSchedulerCommand() }
	case "kube-proxy":
		return proxy.NewProxyCommand
	case "kubelet":
		return func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
	case "kubectl":
		return kubectl.NewDefaultKubectlCommand
	}
	return nil
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}
