package lifecycle

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/inhaul/inhaul/lab/authority"
	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
	"github.com/inhaul/inhaul/lab/parts"
	"github.com/inhaul/inhaul/lab/registry"
)

// systemRoots are the usual places of the system's certificates.
func systemRoots(getenv func(string) string) []string {
	return []string{
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt", // Debian
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // Alpine
	}
}

// build gets the programs that the mode needs.
func (u *Up) build(ctx context.Context) error {
	p := &u.lab.Programs
	wanted := map[string]*string{}
	if u.lab.Mode != layout.External {
		wanted["k8sbox"] = &p.K8sbox
	}
	if u.lab.Mode == layout.Kwok {
		wanted["kwok"] = &p.Kwok
	}
	if u.lab.Walled {
		wanted["kube-router"] = &p.KubeRouter
	}
	if u.wantsBuilder() {
		wanted["buildkitd"], wanted["buildx"] = &p.Buildkitd, &p.Buildx
	}
	for _, name := range []string{"k8sbox", "kwok", "kube-router", "buildkitd", "buildx"} {
		if wanted[name] == nil {
			continue
		}
		part, err := u.binary(ctx, name)
		if err != nil {
			return err
		}
		*wanted[name] = part
	}
	if u.lab.Mode == layout.Real {
		var err error
		if p.Containerd, err = exec.LookPath("containerd"); err != nil {
			return fmt.Errorf("finding containerd: %w", err)
		}
		p.CNI = findCNI()
	}
	if u.lab.Walled {
		var err error
		if p.Busybox, err = exec.LookPath("busybox"); err != nil {
			return fmt.Errorf("finding busybox: %w", err)
		}
	}
	return nil
}

// wantsBuilder says why there is none, if so.
func (u *Up) wantsBuilder() bool {
	switch {
	case u.NoBuilder || u.lab.Mode == layout.External:
		return false
	case os.Geteuid() != 0:
		u.say("no builder: it needs root")
		return false
	}
	if pkgs := missing(builderTools()); len(pkgs) > 0 {
		u.say("no builder: run %s", aptLine(pkgs))
		return false
	}
	return true
}

// binary returns the path of a cached program, building it if needed.
func (u *Up) binary(ctx context.Context, name string) (string, error) {
	part, err := parts.Find(name)
	if err != nil {
		return "", err
	}
	dir, err := u.Parts.Build(ctx, part)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// prepare writes every file that does not need a running process.
func (u *Up) prepare(ctx context.Context) error {
	var err error
	if u.lab.Ports, err = u.lab.Ports.Choose(ctx); err != nil {
		return err
	}
	u.lab.SandboxImage = u.lab.Registry() + "/lab/sandbox:1"
	u.lab.Kubeconfig = u.lab.Path("kubeconfig", "admin")
	if u.lab.Mode == layout.External {
		if u.lab.Kubeconfig, err = filepath.Abs(u.Kubeconfig); err != nil {
			return err
		}
	}
	for _, dir := range []string{"bin", "certs", "docker", "github", "log", "registry", "mirror"} {
		if err := os.MkdirAll(u.lab.Path(dir), 0o755); err != nil {
			return fmt.Errorf("making the state directory: %w", err)
		}
	}
	if err := u.link(); err != nil {
		return err
	}
	if err := u.lab.Save(); err != nil {
		return err
	}
	if err := u.certificates(); err != nil {
		return err
	}
	if err := u.registryToken(); err != nil {
		return err
	}
	u.gitHubDescription(ctx)
	return u.clusterFiles()
}

// gitHubDescription gets what the stand-in needs; without it the rest of the
// lab is still worth having.
func (u *Up) gitHubDescription(ctx context.Context) {
	description, err := github.Description(ctx, u.Parts.Cache)
	if err == nil {
		err = os.WriteFile(u.lab.GitHubDescription(), description, 0o644)
	}
	if err != nil {
		u.say("NOTE: no GitHub stand-in: %v", err)
	}
}

// link puts kubectl and buildx into DIR/bin, which may go on a PATH.
func (u *Up) link() error {
	p := &u.lab.Programs
	if p.K8sbox == "" {
		p.Kubectl, _ = exec.LookPath("kubectl") // external: the user's own, if any
	} else {
		p.Kubectl = u.lab.Path("bin", "kubectl")
		if err := symlink(p.K8sbox, p.Kubectl); err != nil {
			return err
		}
	}
	if p.Buildx == "" {
		return nil
	}
	target := p.Buildx
	p.Buildx = u.lab.Path("bin", "buildx")
	return symlink(target, p.Buildx)
}

func symlink(target, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	if err := os.Symlink(target, path); err != nil {
		return fmt.Errorf("linking %s: %w", path, err)
	}
	return nil
}

func (u *Up) certificates() error {
	ca, err := authority.Open(u.lab.Certs(), u.Now())
	if err != nil {
		return err
	}
	if _, _, err := ca.Serve("registry", []string{"127.0.0.1", "localhost", layout.NodeAddress}, u.Now()); err != nil {
		return err
	}
	if _, _, err := ca.Serve("kube-apiserver", cluster.APIHosts(), u.Now()); err != nil {
		return err
	}
	return ca.WriteBundle(u.lab.CABundle(), systemRoots(u.Getenv))
}

// registryToken keeps or makes the registry's password, and the docker
// configuration that has it.
func (u *Up) registryToken() error {
	content, err := os.ReadFile(u.lab.TokenFile())
	switch {
	case err == nil:
		u.token = strings.TrimSpace(string(content))
	case errors.Is(err, fs.ErrNotExist):
		u.token = rand.Text()
		if err := os.WriteFile(u.lab.TokenFile(), []byte(u.token), 0o600); err != nil {
			return fmt.Errorf("writing the registry's token: %w", err)
		}
	default:
		return fmt.Errorf("reading the registry's token: %w", err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte(registry.Username + ":" + u.token))
	config, err := json.MarshalIndent(map[string]any{
		"auths": map[string]any{u.lab.Registry(): map[string]string{"auth": auth}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return cluster.Write(map[string]string{filepath.Join(u.lab.DockerConfig(), "config.json"): string(config)})
}

func (u *Up) clusterFiles() error {
	if u.lab.Mode == layout.External {
		return nil
	}
	config := cluster.Config{Lab: u.lab, Token: u.token}
	if err := config.Credentials(); err != nil {
		return err
	}
	if u.lab.Mode == layout.Kwok {
		stages, err := cluster.Stages()
		if err != nil {
			return err
		}
		return cluster.Write(map[string]string{u.lab.Path("kwok.yaml"): string(stages)})
	}
	files, err := config.Node()
	if err != nil {
		return err
	}
	if err := cluster.Write(files); err != nil {
		return err
	}
	made, err := node.MakeNodeDirs()
	u.lab.NodeDirs = made
	return errors.Join(err, u.lab.Save())
}
