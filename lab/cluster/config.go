// Package cluster knows how the lab's Kubernetes is configured: credentials,
// configuration files, the command lines of its components and the order in
// which they start. Who starts them differs by mode and is the caller's.
package cluster

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/inhaul/inhaul/lab/layout"
)

//go:embed files
var files embed.FS

// Config is what the components need to know.
type Config struct {
	Lab   *layout.Lab
	Token string // the registry's password, for containerd
}

// Node returns the paths and contents of the files that a real node needs.
func (c Config) Node() (map[string]string, error) {
	return c.render(map[string]string{
		"containerd.toml":     c.Lab.Path("node", "containerd.toml"),
		"registry-hosts.toml": c.Lab.Path("node", "certs.d", c.Lab.Registry(), "hosts.toml"),
		"hub-hosts.toml":      c.Lab.Path("node", "certs.d", "docker.io", "hosts.toml"),
		"kubelet.yaml":        c.Lab.Path("node", "kubelet.yaml"),
		"kube-proxy.yaml":     c.Lab.Path("node", "kube-proxy.yaml"),
		"cni.conflist":        c.Lab.Path("node", "cni", "10-lab.conflist"),
	})
}

// Stages returns kwok's configuration.
func Stages() ([]byte, error) {
	var stages []byte
	for _, name := range []string{"kwok-node.yaml", "kwok-pods.yaml"} {
		content, err := files.ReadFile("files/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		stages = append(append(stages, "---\n"...), content...)
	}
	return stages, nil
}

// render fills templates; the map goes from template to destination, the
// result from destination to content.
func (c Config) render(names map[string]string) (map[string]string, error) {
	values := map[string]any{
		"Lab": c.Lab, "Token": c.Token, "CNI": c.Lab.Programs.CNI,
		"Cgroup": layout.Cgroup, "NodeName": layout.NodeName, "PodNetwork": layout.PodNetwork,
	}
	out := make(map[string]string, len(names))
	for name, destination := range names {
		content, err := execute(name, values)
		if err != nil {
			return nil, err
		}
		out[destination] = content
	}
	return out, nil
}

func execute(name string, values map[string]any) (string, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return b.String(), nil
}

// Kubeconfig returns the configuration file of one user of the API server.
func (c Config) Kubeconfig(ca []byte, token string) (string, error) {
	return execute("kubeconfig.yaml", map[string]any{
		"Lab": c.Lab, "Token": token, "CAData": base64.StdEncoding.EncodeToString(bytes.TrimSpace(ca)),
	})
}

// Write writes files with their directories. The contents may hold secrets.
func Write(contents map[string]string) error {
	for path, content := range contents {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing configuration: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), fs.FileMode(0o600)); err != nil {
			return fmt.Errorf("writing configuration: %w", err)
		}
	}
	return nil
}
