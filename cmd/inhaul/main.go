// Command inhaul is the developer's program: it converts, checks and compares
// descriptions of apps, and tells what was released. Of a cluster it changes
// nothing itself: it asks the agent for a rollback.
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
		Files: cli.Disk{}, Connect: connect, Receipts: oci.New(oci.WithUserAgent("inhaul/" + version())), Now: time.Now,
	}
	code := inhaul.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// version is the module's version, or the commit that a checkout was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
