// Package cli has the commands of inhaul, the developer's program: init, convert,
// validate, plan, releases, rollback, previews, wake, doctor,
// verify-receipt and github-app.
//
// Start with Commands.Run. The package touches nothing but what it is given: it
// reads folders and writes files through Files, asks a cluster through Cluster,
// and returns an exit code instead of ending the process.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/inhaul/inhaul/spec"
)

// The exit codes of inhaul.
const (
	exitUser    = 1 // the user's to mend
	exitOurs    = 2 // ours, or the network's
	exitChanged = 3 // plan --exit-code: a release would change something
)

// Commands are all that inhaul does, with what they need to do it. All fields
// but Getenv and GitHub are needed; Connect and Now only by commands that ask a
// cluster, Registrar only by github-app.
type Commands struct {
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Files          Files
	Folders        Folders
	Connect        func(Connection) (Cluster, error)
	Receipts       Receipts                         // only for references to verify-receipt
	GitHub         func(api string) (GitHub, error) // by the address of its REST API; nil: there is none
	Registrar      Registrar
	Now            func() time.Time
}

// grammar is the command line: kong reads it off the fields and their tags.
type grammar struct {
	Init          initCommand          `cmd:"" help:"Write inhaul.yaml, the workflows and the App of a repository."`
	Convert       convertCommand       `cmd:"" help:"Turn a Procfile, porter.yaml or serverless.yml into an inhaul.yaml."`
	Validate      validateCommand      `cmd:"" help:"Say every mistake in inhaul.yaml, or what it means in each environment."`
	Plan          planCommand          `cmd:"" help:"Say what a release would change."`
	Releases      releasesCommand      `cmd:"" help:"List what was released, and say what serves."`
	Rollback      rollbackCommand      `cmd:"" help:"Bring an older release back, straight on the cluster."`
	Previews      previewsCommand      `cmd:"" help:"List the previews of pull requests: how they are, whose, and what they cost."`
	Wake          wakeCommand          `cmd:"" help:"Wake a preview that was put to sleep."`
	Doctor        doctorCommand        `cmd:"" help:"Look for what is to be mended in a cluster."`
	VerifyReceipt verifyReceiptCommand `cmd:"" help:"Say what the agent has signed about a commit, or that it has not."`
	GitHubApp     githubAppCommand     `cmd:"" name:"github-app" help:"Make the GitHub App that the agent reports as, and give it to the agent."`
	Version       versionCommand       `cmd:"" help:"Print the version."`

	PrintVersion kong.VersionFlag `name:"version" hidden:"" help:"Print the version."`
}

const description = `Describe an app in inhaul.yaml, check the description, see what it changes, and go back.

Exit codes: 0 done; 1 yours to mend; 2 ours, or the network's.`

// helpWidth is how long a line of help gets, in characters.
const helpWidth = 100

// Run does what args say, the name of the program left out, and returns the exit
// code.
func (c Commands) Run(ctx context.Context, args []string) int {
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
	ended := -1 // what --help and --version end with
	stdout, usage := c.Stdout, len(args) == 0
	if usage {
		stdout, args = c.Stderr, []string{"--help"}
	} else if args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	parser, err := kong.New(&grammar{},
		kong.Name("inhaul"), kong.Description(description), kong.Writers(stdout, c.Stderr),
		kong.Exit(func(code int) { ended = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}),
		kong.Vars{"version": c.Version, "namespace": c.agentNamespace()},
	)
	if err != nil {
		return c.tell(fmt.Errorf("reading the command line: %w", err))
	}
	command, err := parser.Parse(args)
	switch {
	case usage:
		return exitUser
	case ended >= 0:
		return ended
	case err != nil:
		return c.tell(misused(err))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return c.tell(command.Run(c))
}

// agentNamespace is where the agent lives unless a flag says otherwise.
func (c Commands) agentNamespace() string { return cmp.Or(c.Getenv("INHAUL_NAMESPACE"), "inhaul") }

// misused says where a command's flags and examples are.
func misused(err error) error {
	help := "inhaul --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		if command := parse.Context.Selected(); command != nil {
			help = command.FullPath() + " --help"
		}
	}
	return &fault{what: "the command line is not understood", why: err.Error(), next: help}
}

// tell says on standard error what went wrong, and returns the exit code.
func (c Commands) tell(err error) int {
	switch mistakes, found := errors.AsType[spec.Errors](err); {
	case err == nil:
		return 0
	case errors.Is(err, errChanged):
		return exitChanged
	case errors.Is(err, errUnwell):
		return exitUser
	case found:
		c.warn("%s\n", mistakes)
		return exitUser
	}
	if f, ok := errors.AsType[*fault](err); ok {
		c.warn("%s\n", f.text())
		return exitUser
	}
	f := &fault{
		what: "this did not work", why: err.Error(),
		next: "try again; if it stays, report it at https://github.com/inhaul/inhaul/issues",
	}
	c.warn("%s\n", f.text())
	return exitOurs
}

// warn writes to standard error.
func (c Commands) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Stderr, format, args...) // nobody is left to tell
}

// fault is what the user can mend.
type fault struct {
	what string // what did not work
	why  string // where and why
	next string // what to do about it
}

func (f *fault) Error() string { return f.what + ": " + f.why }

// text is for a terminal: three labelled parts, further lines below the first.
func (f *fault) text() string {
	indent := func(text string) string { return strings.ReplaceAll(text, "\n", "\n        ") }
	return fmt.Sprintf("inhaul: %s\n  why:  %s\n  next: %s", f.what, indent(f.why), indent(f.next))
}

// versionCommand is `inhaul version`.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(c Commands) error {
	_, err := fmt.Fprintln(c.Stdout, c.Version)
	return err
}
