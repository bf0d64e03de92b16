package cluster

import (
	"context"
	"fmt"
	"strconv"

	"github.com/inhaul/inhaul/lab/layout"
)

// Component is one program of the cluster.
type Component struct {
	Name   string
	Path   string
	Args   []string // argv; k8sbox chooses its part by argv[0]
	Gentle bool     // ends well on SIGTERM and quickly
}

// Launch starts a component and returns at once.
type Launch func(Component) error

func (c Config) box(name string, flags ...string) Component {
	return Component{Name: name, Path: c.Lab.Programs.K8sbox, Args: append([]string{name}, flags...)}
}

// Start launches the components in order and returns when the API server is
// ready and all are launched.
func (c Config) Start(ctx context.Context, launch Launch) error {
	first := []Component{c.etcd(), c.APIServer()}
	second := []Component{c.ControllerManager(), c.scheduler()}
	if c.Lab.Mode == layout.Real {
		first = append([]Component{c.containerd()}, first...)
		second = append(second, c.kubelet(), c.kubeProxy())

	} else {
		second = append(second, c.kwok())
	}
	if err := launchAll(launch, first); err != nil {
		return err
	}
	api, err := NewAPI(c.Lab)
	if err != nil {
		return err
	}
	if err := api.WaitReady(ctx); err != nil {
		return err
	}
	if c.Lab.Mode == layout.Real {
		if err := api.BindKubeProxy(ctx); err != nil {
			return err
		}
	}
	if err := launchAll(launch, second); err != nil || !c.Lab.Walled {
		return err
	}
	if err := api.WaitNode(ctx, layout.NodeName); err != nil { // kube-router asks for its node once, and ends without
		return err
	}
	return launchAll(launch, []Component{c.kubeRouter(), c.world()})
}

func launchAll(launch Launch, components []Component) error {
	for _, component := range components {
		if err := launch(component); err != nil {
			return fmt.Errorf("starting %s: %w", component.Name, err)
		}
	}
	return nil
}

func (c Config) etcd() Component {
	client := "http://127.0.0.1:" + strconv.Itoa(c.Lab.Ports.Etcd)
	peer := "http://127.0.0.1:" + strconv.Itoa(c.Lab.Ports.EtcdPeer)
	e := c.box("etcd", "--data-dir", c.Lab.Path("etcd"), "--name", "lab", "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "lab="+peer)
	e.Gentle = true
	return e
}

// APIServer is the API server as a component.
func (c Config) APIServer() Component {
	flags := []string{
		"--etcd-servers", "http://127.0.0.1:" + strconv.Itoa(c.Lab.Ports.Etcd),
		"--secure-port", strconv.Itoa(c.Lab.Ports.API),
		"--tls-cert-file", c.Lab.Path("certs", "kube-apiserver.crt"),
		"--tls-private-key-file", c.Lab.Path("certs", "kube-apiserver.key"),
		"--token-auth-file", c.Lab.Path("certs", "tokens.csv"),
		"--authorization-mode", "Node,RBAC", "--allow-privileged",
		"--service-cluster-ip-range", layout.ServiceCIDR,
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", c.Lab.Path("certs", "service-account.key"),
		"--service-account-signing-key-file", c.Lab.Path("certs", "service-account.key"),
	}
	if c.Lab.Mode == layout.Real {
		flags = append(flags, "--bind-address", "0.0.0.0", "--advertise-address", layout.NodeAddress,
			"--kubelet-preferred-address-types", "InternalIP")
	} else { // nobody calls by a service address; the only real address is loopback
		flags = append(flags, "--bind-address", "127.0.0.1", "--endpoint-reconciler-type", "none")
	}
	return c.box("kube-apiserver", flags...)
}

// APIHosts are the names and addresses that the API server's certificate covers.
func APIHosts() []string {
	return []string{
		"127.0.0.1", "localhost", layout.ServiceIP, layout.NodeAddress,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}
}

// ControllerManager is the controller manager as a component.
func (c Config) ControllerManager() Component {
	return c.box("kube-controller-manager", "--kubeconfig", c.Lab.Path("kubeconfig", "kube-controller-manager"),
		"--secure-port", "0", "--leader-elect=false", "--use-service-account-credentials",
		"--service-account-private-key-file", c.Lab.Path("certs", "service-account.key"),
		"--root-ca-file", c.Lab.CA(), "--kube-api-qps", "300", "--kube-api-burst", "600")
}

func (c Config) scheduler() Component {
	return c.box("kube-scheduler", "--kubeconfig", c.Lab.Path("kubeconfig", "kube-scheduler"),
		"--secure-port", "0", "--leader-elect=false", "--kube-api-qps", "300", "--kube-api-burst", "600")
}

func (c Config) kubelet() Component {
	return c.box("kubelet", "--kubeconfig", c.Lab.Path("kubeconfig", "kubelet"), "--config", c.Lab.Path("node", "kubelet.yaml"),
		"--root-dir", "/var/lib/kubelet", "--hostname-override", layout.NodeName, "--node-ip", layout.NodeAddress)
}

func (c Config) kubeProxy() Component {
	return c.box("kube-proxy", "--config", c.Lab.Path("node", "kube-proxy.yaml"))
}

// kubeRouter puts NetworkPolicies in force, and does nothing else.
func (c Config) kubeRouter() Component {
	return Component{Name: "kube-router", Path: c.Lab.Programs.KubeRouter, Args: []string{
		"kube-router", "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
		"--kubeconfig", c.Lab.Path("kubeconfig", "kube-router"), "--hostname-override", layout.NodeName,
		"--service-cluster-ip-range", layout.ServiceCIDR, "--health-port", "0", "--metrics-port", "0",
	}}
}

// world answers at the addresses outside of the cluster.
func (c Config) world() Component {
	return Component{Name: "world", Path: c.Lab.Programs.Busybox, Args: []string{
		"busybox", "nsenter", "--net=/run/netns/" + layout.WorldNetwork, "busybox", "httpd", "-f", "-p", "80", "-h", c.Lab.Path("node", "world"),
	}}
}

func (c Config) kwok() Component {
	return Component{Name: "kwok", Path: c.Lab.Programs.Kwok, Args: []string{
		"kwok", "--kubeconfig", c.Lab.Path("kubeconfig", "kwok"),
		"--manage-all-nodes", "--config", c.Lab.Path("kwok.yaml"), "--node-lease-duration-seconds", "40",
		"--cidr", "10.244.0.0/16", "--node-ip", "127.0.0.1",
	}}
}

func (c Config) containerd() Component {
	return Component{Name: "containerd", Path: c.Lab.Programs.Containerd, Args: []string{
		"containerd", "-c", c.Lab.Path("node", "containerd.toml"), "-l", "warn",
	}}
}
