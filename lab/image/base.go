package image

import (
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// caBundle is where Debian and the base images keep the system's roots.
	caBundle = "/etc/ssl/certs/ca-certificates.crt"

	passwd = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
	group  = "root:x:0:\nnode:x:1000:\nnogroup:x:65534:\n"
)

// Busybox returns a stand-in for library/busybox, from the machine's static
// busybox.
func Busybox(ctx context.Context) (v1.Image, error) {
	t, err := shell(ctx)
	if err != nil {
		return nil, fmt.Errorf("making the busybox image: %w", err)
	}
	return build(t, Settings{Cmd: []string{"sh"}, Env: []string{searchPath}})
}

// Node returns a stand-in for library/node: the machine's node with the
// libraries it links, npm if it is there, and busybox for a shell.
func Node(ctx context.Context) (v1.Image, error) {
	t, err := shell(ctx)
	if err == nil {
		err = addNode(ctx, t)
	}
	if err != nil {
		return nil, fmt.Errorf("making the node image: %w", err)
	}
	version, err := exec.CommandContext(ctx, "node", "-p", "process.versions.node").Output()
	if err != nil {
		return nil, fmt.Errorf("asking node for its version: %w", err)
	}
	return build(t, Settings{Cmd: []string{"node"}, Env: []string{searchPath, "NODE_VERSION=" + strings.TrimSpace(string(version))}})
}

func shell(ctx context.Context) (*tree, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("finding busybox (apt-get install busybox-static): %w", err)
	}
	list, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("listing busybox's commands: %w", err)
	}
	t := newTree()
	t.dir("/tmp", fs.ModeSticky|0o777)
	t.dir("/root", 0o700)
	t.dir("/home/node", 0o777) // layers made here own nothing but root's files
	t.text("/etc/passwd", passwd)
	t.text("/etc/group", group)
	if exists(caBundle) {
		if err := t.copy(caBundle, caBundle); err != nil {
			return nil, err
		}
	}
	for name := range strings.FieldsSeq(string(list)) {
		t.link("/bin/"+name, "busybox")
	}
	t.link("/usr/bin/env", "../../bin/busybox")
	return t, t.copy("/bin/busybox", busybox)
}

// library matches the paths in ldd's output.
var library = regexp.MustCompile(`/\S+`)

func addNode(ctx context.Context, t *tree) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return fmt.Errorf("finding node (apt-get install nodejs npm): %w", err)
	}
	if node, err = filepath.EvalSymlinks(node); err != nil {
		return err
	}
	if err := t.program(ctx, "/usr/local/bin/node", node); err != nil {
		return err
	}
	const npm = "/usr/lib/node_modules/npm"
	if !exists(npm) {
		return nil
	}
	t.link("/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js")
	t.link("/usr/local/bin/npx", "../lib/node_modules/npm/bin/npx-cli.js")
	return t.copyAll("/usr/local/lib/node_modules/npm", npm)
}
