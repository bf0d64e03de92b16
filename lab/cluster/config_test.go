package cluster

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/lab/layout"
)

func aConfig(mode layout.Mode) Config {
	lab := &layout.Lab{
		Dir: "/state", Mode: mode, SandboxImage: "127.0.0.1:5000/lab/sandbox:1",
		Ports:    layout.Ports{API: 6443, Etcd: 2379, EtcdPeer: 2380, Registry: 5000, Mirror: 5001},
		Programs: layout.Programs{K8sbox: "/cache/k8sbox", Kwok: "/cache/kwok", Containerd: "/usr/bin/containerd", CNI: "/usr/lib/cni"},
	}
	return Config{Lab: lab, Token: "t0ken"}
}

func TestNodeFilesAreRendered(t *testing.T) {
	t.Parallel()
	files, err := aConfig(layout.Real).Node()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]string{
		"/state/node/containerd.toml": {
			`root = "/state/containerd"`, `sandbox_image = "127.0.0.1:5000/lab/sandbox:1"`, `bin_dir = "/usr/lib/cni"`,
			`config_path = "/state/node/certs.d"`, `registry.configs."127.0.0.1:5000".auth]`, `password = "t0ken"`,
		},
		"/state/node/certs.d/127.0.0.1:5000/hosts.toml": {`server = "https://127.0.0.1:5000"`, `ca = "/state/certs/ca.crt"`},
		"/state/node/certs.d/docker.io/hosts.toml":      {`[host."http://127.0.0.1:5001"]`},
		"/state/node/kubelet.yaml":                      {"cgroupRoot: /" + layout.Cgroup, `resolvConf: "/state/node/resolv.conf"`},
		"/state/node/kube-proxy.yaml":                   {`kubeconfig: "/state/kubeconfig/kube-proxy"`},
		"/state/node/cni/10-lab.conflist":               {`"subnet": "` + layout.PodNetwork + `"`},
	}
	for path, wants := range cases {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s lacks %s:\n%s", path, want, files[path])
			}
		}
	}
	if len(files) != len(cases) {
		t.Errorf("got %d files, want %d", len(files), len(cases))
	}
}

func TestStagesKeepTheirOwnTemplates(t *testing.T) {
	t.Parallel()
	stages, err := Stages()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name: node-initialize", "name: pod-ready", "[ImagePullBackOff]", "[CrashLoopBackOff]", "[NeverReady]", "{{ $now := Now }}"} {
		if !strings.Contains(string(stages), want) {
			t.Errorf("stages lack %q", want)
		}
	}
}

func TestComponentsByMode(t *testing.T) {
	t.Parallel()
	kwok, node := aConfig(layout.Kwok).APIServer(), aConfig(layout.Real).APIServer()
	if !has(kwok.Args, "--bind-address", "127.0.0.1") || !has(kwok.Args, "--endpoint-reconciler-type", "none") {
		t.Errorf("mode kwok must stay on loopback: %v", kwok.Args)
	}
	if !has(node.Args, "--advertise-address", layout.NodeAddress) {
		t.Errorf("mode real must be reachable by pods: %v", node.Args)
	}
	if node.Args[0] != "kube-apiserver" || node.Path != "/cache/k8sbox" {
		t.Errorf("got %s as %s, want k8sbox as kube-apiserver", node.Path, node.Args[0])
	}
}

func has(args []string, flag, value string) bool {
	i := slices.Index(args, flag)
	return i >= 0 && i+1 < len(args) && args[i+1] == value
}

func TestCredentialsAreKept(t *testing.T) {
	t.Parallel()
	c := aConfig(layout.Kwok)
	c.Lab.Dir = t.TempDir()
	if err := os.MkdirAll(c.Lab.Certs(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Lab.CA(), []byte("PEM"), 0o644); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		if err := c.Credentials(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(c.Lab.Dir, "kubeconfig", "admin"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	first, second := read(), read()
	if first != second {
		t.Errorf("kubeconfig changed on the second start:\n%s\n%s", first, second)
	}
	for _, want := range []string{`server: "https://127.0.0.1:6443"`, base64.StdEncoding.EncodeToString([]byte("PEM"))} {
		if !strings.Contains(first, want) {
			t.Errorf("kubeconfig lacks %s:\n%s", want, first)
		}
	}
}
