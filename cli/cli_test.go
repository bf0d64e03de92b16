package cli_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/inhaul/inhaul/cli"
)

var update = flag.Bool("update", false, "write what the stories compare with anew")

// TestMain makes the test binary be inhaul, without a cluster, in the stories.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"inhaul": func() {
			inhaul := cli.Commands{
				Version: "v1.2.3", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Files: cli.Disk{}, Folders: cli.Disk{},
				Connect: func(cli.Connection) (cli.Cluster, error) {
					return cli.Cluster{}, errors.New("no cluster in this story")
				},
			}
			os.Exit(inhaul.Run(context.Background(), os.Args[1:]))
		},
	})
}

func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code},
	})
}

// code runs inhaul and wants that exit code: code 3 plan -e production.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: code N [argument of inhaul ...]")
	}
	got := 0
	err := ts.Exec("inhaul", args[1:]...)
	if exit, ended := errors.AsType[*exec.ExitError](err); ended {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("got exit code %d, want %s", got, args[0])
	}
}
