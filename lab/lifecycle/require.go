package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
)

// tool is a program of the machine and the Debian package that brings it.
type tool struct{ name, pkg string }

func nodeTools() []tool {
	return []tool{
		{"containerd", "containerd"},
		{"runc", "runc"},
		{"nft", "nftables"},
		{"iptables", "iptables"},
		{"conntrack", "conntrack"},
		{"ip", "iproute2"},
	}
}

// builderTools are what buildkitd needs; git for contexts from a repository.
func builderTools() []tool { return []tool{{"runc", "runc"}} }

// baseTools are what the base images are made of.
func baseTools() []tool { return []tool{{"busybox", "busybox-static"}, {"node", "nodejs npm"}} }

const cniPackage = "containernetworking-plugins"

// cniDirs are where Debian and others put the CNI plugins.
func cniDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} }

func findCNI() string {
	for _, dir := range cniDirs() {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

// missing returns the packages that lack a program.
func missing(tools []tool) []string {
	var pkgs []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.name); err != nil && !slices.Contains(pkgs, t.pkg) {
			pkgs = append(pkgs, t.pkg)
		}
	}
	return pkgs
}

// missingForReal returns the packages that mode real lacks.
func missingForReal() []string {
	pkgs := missing(nodeTools())
	if findCNI() == "" {
		pkgs = append(pkgs, cniPackage)
	}
	return pkgs
}

func aptLine(pkgs []string) string {
	return "apt-get install -y --no-install-recommends " + strings.Join(pkgs, " ")
}

// install runs apt-get as root.
func install(ctx context.Context, pkgs []string, out io.Writer) error {
	if len(pkgs) == 0 {
		return nil
	}
	args := strings.Fields(aptLine(pkgs))
	fmt.Fprintln(out, "running", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("installing packages: %w", err)
	}
	return nil
}

// ErrNotPossible means that mode real cannot run here.
var ErrNotPossible = errors.New("mode real is not possible here")

// realPossible says why mode real is not possible, or returns nil.
func realPossible(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root", ErrNotPossible)
	}
	if pkgs := missingForReal(); len(pkgs) > 0 {
		return fmt.Errorf("%w: run %s (or lab up --install)", ErrNotPossible, aptLine(pkgs))
	}
	probe := exec.CommandContext(ctx, "true")
	probe.SysProcAttr = node.Attributes()
	if err := probe.Run(); err != nil {
		return fmt.Errorf("%w: making namespaces: %w", ErrNotPossible, err)
	}
	return nil
}

// decide turns Auto into a mode and installs what it may.
func (u *Up) decide(ctx context.Context) (layout.Mode, error) {
	if u.Kubeconfig != "" {
		return layout.External, nil
	}
	if u.Install && u.Mode != layout.Kwok && os.Geteuid() == 0 {
		if err := install(ctx, append(missingForReal(), missing(baseTools())...), u.Out); err != nil {
			return "", err
		}
	}
	switch u.Mode {
	case layout.Kwok:
		return layout.Kwok, nil
	case layout.Real:
		return layout.Real, realPossible(ctx)
	}
	if err := realPossible(ctx); err != nil {
		u.say("NOTE: pods are simulated (mode kwok): no image is pulled, nothing runs, nothing answers. %v.", err)
		return layout.Kwok, nil
	}
	return layout.Real, nil
}
