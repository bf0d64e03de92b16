// Package layout says where a lab keeps what, and what `lab up` decided: the
// one file lab.json that every later command reads.
package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Mode is the kind of cluster a lab has.
type Mode string

// The modes. Auto is only ever asked for.
const (
	Auto     Mode = "auto"
	Kwok     Mode = "kwok"     // a real control plane, simulated nodes; no root
	Real     Mode = "real"     // a real node in namespaces of its own; root
	External Mode = "external" // somebody's own cluster
)

// Addresses and names inside a lab. The networks have no route out, so they
// cannot collide with the machine's.
const (
	NodeName    = "node1"
	NodeAddress = "10.246.0.1"
	NodeNetwork = NodeAddress + "/24"
	PodNetwork  = "10.244.0.0/24"
	ServiceCIDR = "10.96.0.0/16"
	ServiceIP   = "10.96.0.1" // of the API server
	FakeNode    = "kwok-0"

	// WorldAddress stands for the internet in a lab with network policies. It is of
	// TEST-NET-3 (RFC 5737), which nobody has.
	WorldAddress = "203.0.113.10"
	// MetadataAddress and IdentityAddress are where clouds' metadata service and EKS
	// Pod Identity answer. The lab's answer anybody, and know nothing.
	MetadataAddress = "169.254.169.254"
	IdentityAddress = "169.254.170.23"
	// WorldNetwork is the name of the network namespace that has these addresses.
	WorldNetwork = "world"

	// Cgroup is the name under which a real lab keeps all its cgroups.
	Cgroup        = "inhaul-lab"
	BuilderCgroup = "inhaul-lab-builder"

	// RealLock is held while a real lab is up: there can be one on a machine.
	RealLock = "/run/lock/inhaul-lab-real.lock"
)

// Lab is what `lab up` decided.
type Lab struct {
	Dir          string `json:"-"`
	Mode         Mode   `json:"mode"`
	Ready        bool   `json:"ready"` // false while up works, and after it was killed
	Ports        Ports  `json:"ports"`
	Kubeconfig   string `json:"kubeconfig"`
	SandboxImage string `json:"sandboxImage"`
	// Walled is true if NetworkPolicies are in force, and there is a world outside.
	Walled   bool     `json:"walled,omitempty"`
	Programs Programs `json:"programs"`
	// NodeDirs are the mount points that up made on the host and down removes.
	NodeDirs []string `json:"nodeDirs,omitempty"`
}

// Programs are paths; those that a mode does not need are empty.
type Programs struct {
	K8sbox     string `json:"k8sbox,omitempty"`
	Kwok       string `json:"kwok,omitempty"`
	KubeRouter string `json:"kubeRouter,omitempty"` // empty without network policies
	Busybox    string `json:"busybox,omitempty"`    // answers in the world outside
	Kubectl    string `json:"kubectl,omitempty"`
	Buildkitd  string `json:"buildkitd,omitempty"`
	Buildx     string `json:"buildx,omitempty"` // empty without a builder
	Containerd string `json:"containerd,omitempty"`
	CNI        string `json:"cni,omitempty"` // directory of the CNI plugins
}

// DefaultDir is the state directory of a mode when none is given.
func DefaultDir(getenv func(string) string, mode Mode) string {
	state := getenv("XDG_STATE_HOME")
	if state == "" {
		state = filepath.Join(getenv("HOME"), ".local", "state")
	}
	return filepath.Join(state, "inhaul-lab", string(mode))
}

// Load reads DIR/lab.json. Without one the error is [fs.ErrNotExist].
func Load(dir string) (*Lab, error) {
	l := &Lab{Dir: dir}
	content, err := os.ReadFile(l.Path("lab.json"))
	if err == nil {
		err = json.Unmarshal(content, l)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lab's state: %w", err)
	}
	return l, nil
}

// Save writes DIR/lab.json as a whole or not at all.
func (l *Lab) Save() error {
	content, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	temporary := l.Path("lab.json.new")
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	if err := os.Rename(temporary, l.Path("lab.json")); err != nil {
		return fmt.Errorf("writing the lab's state: %w", err)
	}
	return nil
}

// Exists reports whether dir has ever held a lab.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "lab.json"))
	return !errors.Is(err, fs.ErrNotExist)
}

// Path returns a path inside the state directory.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.Dir}, elem...)...) }

// Log returns the log file of a process.
func (l *Lab) Log(name string) string { return l.Path("log", name+".log") }

// Certs is the directory of the lab's certificate authority.
func (l *Lab) Certs() string { return l.Path("certs") }

// CA is the certificate of the lab's authority.
func (l *Lab) CA() string { return l.Path("certs", "ca.crt") }

// CABundle holds the system's roots and the lab's authority.
func (l *Lab) CABundle() string { return l.Path("certs", "bundle.crt") }

// TokenFile holds the registry's password.
func (l *Lab) TokenFile() string { return l.Path("registry", "token") }

// AppKeyFile holds the private key of the GitHub App.
func (l *Lab) AppKeyFile() string { return l.Path("github", "app.pem") }

// GitHubDescription is the part of GitHub's API description that the stand-in
// checks calls against.
func (l *Lab) GitHubDescription() string { return l.Path("github", "openapi.json") }

// DockerConfig is the directory whose config.json has the registry's password.
func (l *Lab) DockerConfig() string { return l.Path("docker") }

// BuildxConfig is the directory in which buildx keeps its builders.
func (l *Lab) BuildxConfig() string { return l.Path("buildx") }

// Processes is the file that remembers the lab's processes.
func (l *Lab) Processes() string { return l.Path("processes.json") }

// BuilderSocket is where buildkitd listens.
func (l *Lab) BuilderSocket() string { return l.Path("builder", "buildkitd.sock") }

// Registry is the registry's host:port, the same on the host, on the node and
// beside the sidecar in a pod.
func (l *Lab) Registry() string { return loopback(l.Ports.Registry) }

// Mirror is the base image mirror's host:port.
func (l *Lab) Mirror() string { return loopback(l.Ports.Mirror) }

// GitHub is the host:port of the GitHub stand-in.
func (l *Lab) GitHub() string { return loopback(l.Ports.GitHub) }

// Proxy is the host:port of the proxy into the node's network; real mode only.
func (l *Lab) Proxy() string { return loopback(l.Ports.Proxy) }

// Wipe removes everything that a lab ever puts into its directory, and the
// directory if it is then empty. Other files are not touched.
func (l *Lab) Wipe() error {
	for _, name := range []string{
		"bin", "builder", "buildx", "certs", "containerd", "docker", "etcd", "github", "kubeconfig", "log", "mirror",
		"node", "registry", "stage", "kwok.yaml", "processes.json", "processes.json.new", "lab.json.new", "lab.json", "lock",
	} {
		if err := os.RemoveAll(l.Path(name)); err != nil {
			return fmt.Errorf("removing the lab's state: %w", err)
		}
	}
	_ = os.Remove(l.Dir) // stays if somebody else keeps something there
	return nil
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
