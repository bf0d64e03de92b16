package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/inhaul/inhaul/lab/cluster"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/node"
	"github.com/inhaul/inhaul/lab/process"
)

// BuilderName is the name that buildx knows the builder by.
const BuilderName = "lab"

// maxSocketPath is the size of sun_path less its final zero, unix(7).
const maxSocketPath = 107

// buildkitConfig is buildkitd.toml: the hub is the mirror, and the registry is
// verified (http must be said, because loopback counts as plain HTTP).
const buildkitConfig = `[worker.oci]
  defaultCgroupParent = "/%s"
[registry."docker.io"]
  mirrors = ["%s"]
[registry."%[2]s"]
  http = true
[registry."%s"]
  http = false
  ca = [%q]
`

// startBuilder starts buildkitd and makes buildx know it.
func (u *Up) startBuilder(ctx context.Context) error {
	if u.lab.Programs.Buildkitd == "" {
		return nil
	}
	socket := u.lab.BuilderSocket()
	if len(socket) > maxSocketPath {
		return fmt.Errorf("socket path %s: got %d bytes, want at most %d: choose a shorter --dir", socket, len(socket), maxSocketPath)
	}
	configFile := u.lab.Path("builder", "buildkitd.toml")
	config := fmt.Sprintf(buildkitConfig, u.builderCgroup(), u.lab.Mirror(), u.lab.Registry(), u.lab.CA())
	if err := cluster.Write(map[string]string{configFile: config}); err != nil {
		return err
	}
	p, err := u.table.Start(process.Spec{
		Name: "buildkitd", Path: u.Self, Log: u.lab.Log("buildkitd"), Sys: node.JailAttributes(),
		// Whatever is not on loopback meets a closed port instead of the internet.
		Env: append(os.Environ(), "HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost",
			"DOCKER_CONFIG="+u.lab.DockerConfig()),
		Args: []string{
			"lab", "jail", "--", u.lab.Programs.Buildkitd, "--config", configFile, "--root", u.lab.Path("builder", "root"),
			"--addr", "unix://" + socket, "--oci-worker=true", "--oci-worker-net=host", "--containerd-worker=false",
		},
	})
	if err != nil {
		return err
	}
	u.watch(p)
	if err := waitDial(ctx, "unix", socket); err != nil {
		return err
	}
	if err := os.RemoveAll(u.lab.BuildxConfig()); err != nil {
		return fmt.Errorf("making the builder known: %w", err)
	}
	cmd := exec.CommandContext(ctx, u.lab.Programs.Buildx, "create", "--name", BuilderName, "--driver", "remote", "unix://"+socket)
	cmd.Env = append(os.Environ(), "BUILDX_CONFIG="+u.lab.BuildxConfig(), "DOCKER_CONFIG="+u.lab.DockerConfig())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making the builder known: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// builderCgroup differs by lab: two of mode kwok may have builders.
func (u *Up) builderCgroup() string { return builderCgroup(u.lab) }

func builderCgroup(lab *layout.Lab) string {
	return fmt.Sprintf("%s-%d", layout.BuilderCgroup, lab.Ports.Registry)
}

// removeSocket lets the next buildkitd listen.
func removeSocket(lab *layout.Lab) error {
	err := os.Remove(filepath.Clean(lab.BuilderSocket()))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
