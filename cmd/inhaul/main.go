// Command inhaul is the developer's program: it writes, converts, checks and
// compares descriptions of apps, and tells what was released. Of a cluster it
// changes nothing itself but who the agent is on GitHub, and makes a namespace to try
// walls in, which it deletes: it asks the agent for a rollback.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/inhaul/inhaul/cli"
	"github.com/inhaul/inhaul/internal/oci"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	inhaul := cli.Commands{
		Version: version(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Files: cli.Disk{}, Folders: cli.Disk{}, Connect: connect, Receipts: oci.New(oci.WithUserAgent("inhaul/" + version())), Now: time.Now,
		GitHub: atGitHub, Registrar: registrar{open: browse},
	}
	code := inhaul.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// released is the version of a release's build, which writes it by -X.
var released string //nolint:gochecknoglobals // the linker writes into nothing else

// version is that of the release, or the module's.
func version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
