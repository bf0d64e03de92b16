// Command inhaul is the developer's program: it converts, checks and compares
// descriptions of apps. It changes nothing in a cluster.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/inhaul/inhaul/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	inhaul := cli.Commands{
		Version: version(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Files: cli.Disk{}, Connect: connect,
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
