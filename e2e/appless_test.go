package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/inhaul/inhaul/internal/oci"
)

// TestStoriesWithoutAnApp has the lab's agents start anew without their GitHub App:
// receipts are all that they can say. Afterwards they have it again.
func TestStoriesWithoutAnApp(t *testing.T) {
	program, dir := needLab(t)
	install := func(flags ...string) error {
		command := exec.Command(program, append([]string{"agent", "install", "--replicas", "2", "--dir", dir}, flags...)...)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("installing the agent: %w\n%s", err, out)
		}
		return nil
	}
	if err := install("--no-app"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := install(); err != nil {
			t.Error(err)
		}
	})
	testscript.Run(t, stories(t, "testdata/appless"))
}

// pinned makes the key of a file an input: pinned FILE sets $RECEIPT_KEY.
func pinned(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pinned FILE")
	}
	ts.Setenv("RECEIPT_KEY", ts.ReadFile(args[0]))
}

// receipt fetches the last receipt of an intent into a file, and sets $RECEIPT to
// its reference: receipt REPOSITORY INTENT FILE
func receipt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: receipt REPOSITORY INTENT FILE")
	}
	ts.Check(os.Setenv("DOCKER_CONFIG", ts.Getenv("DOCKER_CONFIG")))
	registry := oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(transport(ts)))
	repository := ts.Getenv("LAB_REGISTRY") + "/" + args[0]
	var last []byte
	for number := 1; ; number++ {
		data, found, err := registry.FetchReceipt(context.Background(), repository, args[1], number)
		ts.Check(err)
		if !found {
			break
		}
		last = data
		ts.Setenv("RECEIPT", repository+":"+oci.ReceiptTag(args[1], number))
	}
	if last == nil {
		ts.Fatalf("there is no receipt of %s in %s", args[1], repository)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), last, 0o600))
}

// agentlog prints what the agents say of $APP, once one has said something.
func agentlog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: agentlog")
	}
	for range 100 {
		var lines bytes.Buffer
		files, err := filepath.Glob(filepath.Join(ts.Getenv("LAB_DIR"), "log", "agent*.log"))
		ts.Check(err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			ts.Check(err)
			for line := range strings.Lines(string(data)) {
				if strings.Contains(line, ts.Getenv("APP")) && strings.Contains(line, "level=WARN") {
					lines.WriteString(line)
				}
			}
		}
		if lines.Len() > 0 {
			_, err := ts.Stdout().Write(lines.Bytes())
			ts.Check(err)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	ts.Fatalf("no agent has warned of %s", ts.Getenv("APP"))
}
