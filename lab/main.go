// Command lab gives a machine what Inhaul meets in the world: a Kubernetes, a
// registry that behaves like Amazon ECR, a GitHub and a builder, all on
// loopback and without the internet. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/parts"
	"github.com/inhaul/inhaul/lab/process"
)

// program is the command line.
type program struct {
	Up        upCommand        `cmd:"" help:"Bring a lab up; says so if it is up already."`
	Down      downCommand      `cmd:"" help:"End a lab. Nothing is left but its directory."`
	Status    statusCommand    `cmd:"" help:"Show a lab and its processes."`
	Env       envCommand       `cmd:"" help:"Print the lab's variables for eval."`
	Build     buildCommand     `cmd:"" help:"Build programs of the lab into the cache."`
	Path      pathCommand      `cmd:"" help:"Print where a cached program is."`
	Push      pushCommand      `cmd:"" help:"Push one static binary as an image."`
	Databases databasesCommand `cmd:"" help:"Push images of PostgreSQL and Redis, made from the machine's own."`
	Exec      execCommand      `cmd:"" help:"Run a command in the node's network (mode real)."`

	Restart restartCommand `cmd:"" help:"Kill the API server and start it again (mode kwok)."`

	Possible possibleCommand `cmd:"" help:"Say why a mode cannot run here, if so, and exit 1."`

	Demo   demoCommand   `cmd:"" help:"Play the main job: pushes become releases, a broken one does not, an old run comes back."`
	Agent  agentCommand  `cmd:"" help:"Install, kill or stop the agent of a lab."`
	Allow  allowCommand  `cmd:"" help:"Let a repository deploy an app: write its App resource."`
	Run    runCommand    `cmd:"" help:"Commit the working directory and run its workflow, as a GitHub runner would."`
	Checks checksCommand `cmd:"" help:"Wait for the check runs of a commit and print them."`

	Gallery galleryCommand `cmd:"" help:"Show every golden file of what GitHub shows, as GitHub would render it."`

	Serve   serveCommand   `cmd:"" hidden:"" help:"The background process."`
	Node    nodeCommand    `cmd:"" hidden:"" help:"PID 1 of a real node."`
	Jail    jailCommand    `cmd:"" hidden:"" help:"PID 1 around one program."`
	Forward forwardCommand `cmd:"" hidden:"" help:"Carry TCP connections."`

	Supervise superviseCommand `cmd:"" hidden:"" help:"Keep one program running, as a kubelet does."`
}

// machine is what commands get from outside.
type machine struct {
	self   string
	getenv func(string) string
	out    io.Writer
	logger *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx)
	stop()
	var ended commandEnded
	switch {
	case errors.As(err, &ended):
		os.Exit(int(ended)) //nolint:forbidigo // lab exec and lab run end as their commands did
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1) //nolint:forbidigo // the one exit
	}
}

func run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	var p program
	parsed := kong.Parse(&p, kong.Name("lab"), kong.Description("A Kubernetes and the counterparts of a deploy, on this machine."), kong.UsageOnError())
	return parsed.Run(&machine{
		self:   self,
		getenv: os.Getenv, //nolint:forbidigo // handed down from here
		out:    os.Stdout,
		logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, &invocation{ctx})
}

// invocation carries the context to the commands: kong passes values by type.
type invocation struct{ context.Context } //nolint:containedctx // it is how kong hands one down

// builder returns a builder of parts.
func (m *machine) builder() (parts.Builder, error) {
	here, err := os.Getwd()
	if err != nil {
		return parts.Builder{}, fmt.Errorf("finding the working directory: %w", err)
	}
	source, err := parts.FindSource(m.getenv("INHAUL_LAB_SOURCE"), filepath.Dir(m.self), here)
	if err != nil {
		return parts.Builder{}, err
	}
	cache := m.getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(m.getenv("HOME"), ".cache")
	}
	return parts.Builder{Store: parts.Store{Source: source, Cache: filepath.Join(cache, "inhaul-lab")}, Out: m.out}, nil
}

// labFlags choose a lab that exists.
type labFlags struct {
	Dir  string `help:"State directory of the lab." type:"path" env:"LAB_DIR"`
	Mode string `help:"Mode whose default directory to use." enum:",kwok,real,external" default:""`
}

// find returns the lab's directory: the one asked for, else the first default
// directory with a running lab, else the first with any.
func (f labFlags) find(m *machine) (string, error) {
	switch {
	case f.Dir != "":
		return f.Dir, nil
	case f.Mode != "":
		return layout.DefaultDir(m.getenv, layout.Mode(f.Mode)), nil
	}
	var first string
	for _, mode := range []layout.Mode{layout.Real, layout.Kwok, layout.External} {
		dir := layout.DefaultDir(m.getenv, mode)
		if !layout.Exists(dir) {
			continue
		}
		if first == "" {
			first = dir
		}
		if table, err := process.Open(filepath.Join(dir, "processes.json")); err == nil && len(table.Records()) > 0 {
			return dir, nil
		}
	}
	if first == "" {
		return "", errors.New("no lab found: run lab up, or give --dir")
	}
	return first, nil
}

func (f labFlags) load(m *machine) (*layout.Lab, []process.Record, error) {
	dir, err := f.find(m)
	if err != nil {
		return nil, nil, err
	}
	lab, err := layout.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	table, err := process.Open(lab.Processes())
	if err != nil {
		return nil, nil, err
	}
	return lab, table.Records(), nil
}

// nodePID returns the process whose namespaces hold the real node.
func nodePID(records []process.Record) (int, error) {
	for _, r := range records {
		if r.Name == "node" && r.Alive() {
			return r.PID, nil
		}
	}
	return 0, errors.New("no real node runs here")
}

// now is the one place that reads the clock.
func now() time.Time { return time.Now() } //nolint:forbidigo // handed down from here
