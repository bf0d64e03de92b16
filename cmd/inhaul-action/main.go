// Command inhaul-action is the GitHub Action: it runs as one step of a
// workflow, with its inputs in INPUT_* as action.yml puts them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/inhaul/inhaul/action"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/internal/oci"
)

const usage = `inhaul-action builds the image of a commit, publishes a signed deploy intent
and waits for the agent's verdict. It is a step of a GitHub workflow; its inputs
are described in action.yml.

  --help     print this
  --version  print the version

Exit codes: 0 deployed, or nothing to deploy; 1 yours to mend; 2 ours.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) int {
	flags := flag.NewFlagSet("inhaul-action", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, usage) } //nolint:errcheck // nobody is left to tell
	printVersion := flags.Bool("version", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case *printVersion:
		fmt.Fprintln(out, version()) //nolint:errcheck // nobody is left to tell
		return 0
	}
	return action.ExitCode(wire(getenv, out).Run(ctx))
}

// wire connects the Action with this machine, the registry and GitHub.
func wire(getenv func(string) string, out io.Writer) *action.Action {
	dir := getenv("GITHUB_WORKSPACE")
	if dir == "" {
		dir = "."
	}
	registry := registry{oci.New(oci.WithUserAgent("inhaul-action/" + version()))}
	return &action.Action{
		Getenv: getenv, Out: out, Dir: dir, Files: os.DirFS(dir), Temp: getenv("RUNNER_TEMP"), Now: time.Now, Sleep: sleep,
		Exec: action.Programs{Env: os.Environ()}, Images: registry, Publish: registry, Intents: registry, Receipts: registry,
		IDToken: func(ctx context.Context, audience string) (string, error) {
			token, err := github.RequestIDToken(ctx, getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), audience, nil)
			return token, mendableToken(err)
		},
		Verdicts: func(token string) (action.Verdicts, error) {
			client, err := github.NewToken(github.TokenConfig{BaseURL: getenv("GITHUB_API_URL"), Token: token})
			return verdicts{client, getenv("GITHUB_SERVER_URL")}, err
		},
		Reporter: func(token string) (action.Reporter, error) {
			client, err := github.NewToken(github.TokenConfig{BaseURL: getenv("GITHUB_API_URL"), Token: token})
			return reports{client, getenv("GITHUB_SERVER_URL")}, err
		},
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// version is the module's version, or the commit that a checkout was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
