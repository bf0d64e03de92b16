package process

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20"
	cases := map[string]struct {
		line    string
		want    stat
		wantErr bool
	}{
		"a plain name":                  {"17 (etcd)" + rest, stat{'S', 4242}, false},
		"a name with spaces and braces": {"17 (a) R 1 (b c)" + rest, stat{'S', 4242}, false},
		"no name":                       {"17 etcd S 1", stat{}, true},
		"too few fields":                {"17 (etcd) S 1 2", stat{}, true},
	}
	for name, c := range cases {
		got, err := parseStat([]byte(c.line))
		if got != c.want || (err != nil) != c.wantErr {
			t.Errorf("%s: got %v, %v, want %v, error %v", name, got, err, c.want, c.wantErr)
		}
	}
}

func TestAStrangerWithOurProcessIDIsLeftAlone(t *testing.T) {
	t.Parallel()
	own, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if r := (Record{PID: os.Getpid(), Start: own.start}); !r.Alive() {
		t.Error("this process: got dead, want alive")
	}
	stranger := Record{Name: "x", PID: os.Getpid(), Start: own.start - 1}
	if stranger.Alive() {
		t.Error("this process ID with another start time: got alive, want dead")
	}
	if err := stranger.send(9); err != nil { // would end this test if it were sent
		t.Error(err)
	}
}

func TestTableStopsWhatItStarted(t *testing.T) {
	t.Parallel()
	for name, gentle := range map[string]bool{"at once": false, "gently": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			table, err := Open(filepath.Join(dir, "processes.json"))
			if err != nil {
				t.Fatal(err)
			}
			p, err := table.Start(Spec{
				Name: "sleeper", Path: "/bin/sh", Gentle: gentle, Log: filepath.Join(dir, "log", "x.log"),
				Args: []string{"sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done"},
			})
			if err != nil {
				t.Fatal(err)
			}
			again, err := Open(filepath.Join(dir, "processes.json")) // as a later command does
			if err != nil || len(again.Records()) != 1 || !again.Records()[0].Alive() {
				t.Fatalf("got %v, %v, want one living record", again.Records(), err)
			}
			waitFor(t, p.Log, "hello")
			if err := again.Stop(context.Background(), false); err != nil {
				t.Fatal(err)
			}
			if p.Alive() {
				t.Error("got alive after Stop")
			}
			if <-p.Exited == nil {
				t.Error("got no reason for the end")
			}
			log, err := os.ReadFile(p.Log)
			if err != nil || strings.Contains(string(log), "bye") != gentle {
				t.Errorf("got log %q, %v, want a goodbye: %v", log, err, gentle)
			}
			if _, err := os.Stat(filepath.Join(dir, "processes.json")); !os.IsNotExist(err) {
				t.Errorf("the table is still there: %v", err)
			}
		})
	}
}

func waitFor(t *testing.T, path, text string) {
	t.Helper()
	for range 500 {
		if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s never held %q", path, text)
}
