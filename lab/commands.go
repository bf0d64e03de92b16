package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/inhaul/inhaul/lab/image"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
	"github.com/inhaul/inhaul/lab/netns"
	"github.com/inhaul/inhaul/lab/parts"
	"github.com/inhaul/inhaul/lab/process"
)

type upCommand struct {
	Mode       string `help:"auto is real if it is possible here, else kwok." enum:"auto,kwok,real" default:"auto"`
	Dir        string `help:"State directory (default ~/.local/state/inhaul-lab/MODE)." type:"path"`
	Install    bool   `help:"As root: apt-get install what is missing."`
	Kubeconfig string `help:"Use this cluster; only the registry and GitHub are started." type:"existingfile"`
	NoBuilder  bool   `help:"Start no BuildKit."`
	Walled     bool   `name:"network-policies" help:"Mode real: put NetworkPolicies in force, by kube-router, and have a stand-in for the internet and for metadata services."`
}

// Run brings a lab up.
func (c *upCommand) Run(m *machine, ctx *invocation) error {
	builder, err := m.builder()
	if err != nil {
		return err
	}
	up := lifecycle.Up{
		Mode: layout.Mode(c.Mode), Dir: c.Dir, Install: c.Install, Kubeconfig: c.Kubeconfig, NoBuilder: c.NoBuilder, Walled: c.Walled,
		Self: m.self, Parts: builder, Getenv: m.getenv, Now: now, Out: m.out, Logger: m.logger,
	}
	return up.Run(ctx)
}

type downCommand struct {
	labFlags
	Wipe bool `help:"Remove the lab's state too."`
}

// Run ends a lab.
func (c *downCommand) Run(m *machine, ctx *invocation) error {
	dir, err := c.find(m)
	if err != nil {
		return err
	}
	return lifecycle.Down(ctx, dir, c.Wipe, m.out)
}

type restartCommand struct {
	labFlags
	Down time.Duration `help:"How long it stays down." default:"0s"`
}

// Run restarts the API server.
func (c *restartCommand) Run(m *machine, ctx *invocation) error {
	dir, err := c.find(m)
	if err != nil {
		return err
	}
	return lifecycle.Restart(ctx, dir, c.Down)
}

type statusCommand struct {
	labFlags
	JSON bool `help:"Print JSON."`
}

// Run shows a lab.
func (c *statusCommand) Run(m *machine) error {
	lab, records, err := c.load(m)
	if err != nil {
		return err
	}
	if !c.JSON {
		return lifecycle.Print(m.out, lab, records)
	}
	type row struct {
		process.Record
		Alive bool `json:"alive"`
	}
	rows := []row{}
	for _, r := range records {
		rows = append(rows, row{r, r.Alive()})
	}
	encoder := json.NewEncoder(m.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"dir": lab.Dir, "lab": lab, "processes": rows})
}

type envCommand struct{ labFlags }

// Run prints the lab's variables.
func (c *envCommand) Run(m *machine) error {
	lab, _, err := c.load(m)
	if err != nil {
		return err
	}
	for _, pair := range lifecycle.Env(lab) {
		fmt.Fprintf(m.out, "export %s=%s\n", pair[0], lifecycle.Quote(pair[1]))
	}
	return nil
}

type buildCommand struct {
	Parts []string `arg:"" optional:"" help:"sandbox, k8sbox, kwok, kuberouter, builder, act; all by default."`
}

// Run builds parts.
func (c *buildCommand) Run(m *machine, ctx *invocation) error {
	wanted := parts.Parts()
	if len(c.Parts) > 0 {
		wanted = nil
		for _, name := range c.Parts {
			p, err := parts.Find(name)
			if err != nil {
				return err
			}
			wanted = append(wanted, p)
		}
	}
	builder, err := m.builder()
	if err != nil {
		return err
	}
	for _, p := range wanted {
		dir, err := builder.Build(ctx, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(m.out, "%s is in %s\n", p.Name, dir)
	}
	return nil
}

type pathCommand struct {
	Part string `arg:"" help:"A part, or one of its binaries."`
}

// Run prints the paths of a part's binaries, or of the one that was named.
func (c *pathCommand) Run(m *machine, ctx *invocation) error {
	p, err := parts.Find(c.Part)
	if err != nil {
		return err
	}
	builder, err := m.builder()
	if err != nil {
		return err
	}
	dir, err := builder.Locate(ctx, p)
	if err != nil {
		return err
	}
	binaries := p.Binaries
	if slices.Contains(binaries, c.Part) {
		binaries = []string{c.Part}
	}
	for _, b := range binaries {
		path := filepath.Join(dir, b)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is not built: run lab build %s", b, p.Name)
		}
		fmt.Fprintln(m.out, path)
	}
	return nil
}

type possibleCommand struct {
	Mode string `arg:"" enum:"real" help:"real."`
}

// Run ends with 1 and prints why if the mode is not possible.
func (c *possibleCommand) Run(m *machine, ctx *invocation) error {
	if err := lifecycle.RealPossible(ctx, false); err != nil {
		fmt.Fprintln(m.out, err)
		return commandEnded(1)
	}
	return nil
}

type pushCommand struct {
	Reference string   `arg:"" help:"REPOSITORY:TAG, with or without the registry's host."`
	Binary    string   `arg:"" type:"existingfile" help:"A static binary."`
	Args      []string `arg:"" optional:"" passthrough:"" help:"Arguments of the entry point."`
	Env       []string `help:"KEY=VALUE in the image; may be repeated." sep:"none"`
	User      string   `help:"User or UID:GID of the image."`
	Dir       string   `help:"State directory of the lab." type:"path" env:"LAB_DIR"`
}

// Run pushes a binary as an image and prints its reference by digest.
func (c *pushCommand) Run(m *machine, ctx *invocation) error {
	lab, _, err := labFlags{Dir: c.Dir}.load(m)
	if err != nil {
		return err
	}
	img, err := image.Binary(c.Binary, withoutDash(c.Args), image.Settings{Env: c.Env, User: c.User})
	if err != nil {
		return err
	}
	reference, err := lifecycle.Push(ctx, lab, c.Reference, img)
	if err != nil {
		return err
	}
	fmt.Fprintln(m.out, reference)
	return nil
}

type execCommand struct {
	labFlags
	Command []string `arg:"" passthrough:"" help:"The command and its arguments."`
}

// Run runs a command in the network of the real node.
func (c *execCommand) Run(m *machine, ctx *invocation) error {
	_, records, err := c.load(m)
	if err != nil {
		return err
	}
	pid, err := nodePID(records)
	if err != nil {
		return err
	}
	args := withoutDash(c.Command)
	if len(args) == 0 {
		return errors.New("no command given")
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, m.out, os.Stderr
	if err := netns.Of(pid).Do(cmd.Start); err != nil {
		return fmt.Errorf("running %s: %w", args[0], err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return commandEnded(exit.ExitCode())
	}
	return err
}

// commandEnded is an exit code that is an answer, such as that of a command that
// lab exec or lab run ran; lab ends with it and says no more.
type commandEnded int //nolint:errname // an answer first

func (c commandEnded) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", int(c))
}

// withoutDash drops the -- that ends lab's own flags.
func withoutDash(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}
