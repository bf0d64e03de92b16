package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/cli"
)

// live is a fake: a cluster in which an agent takes a second for each step.
type live struct {
	objects
	pages    []string            // of releases; each but the last goes on with its index
	asked    map[string]any      // the Rollback that was made
	since    time.Time           // when that was
	steps    []map[string]string // what becomes of it second by second: "rollback", "release"
	askFails error
	patience time.Duration // of whoever asks; 0: any
}

func (l *live) Page(_ context.Context, _, token string) ([]byte, error) {
	i := 0
	_, _ = fmt.Sscan(token, &i)
	return []byte(l.pages[i]), nil
}

func (l *live) Self(context.Context) ([]byte, error) {
	return []byte(`{"status": {"userInfo": {"username": "alice"}}}`), nil
}

func (l *live) Ask(_ context.Context, _ string, rollback []byte) ([]byte, error) {
	if l.askFails != nil {
		return nil, l.askFails
	}
	l.since = time.Now()
	if err := json.Unmarshal(rollback, &l.asked); err != nil {
		return nil, err
	}
	return []byte(`{"metadata": {"name": "shop-x"}}`), nil
}

func (l *live) Rollback(context.Context, string, string) ([]byte, error) { return l.now("rollback") }

func (l *live) Release(context.Context, string, string) ([]byte, error) { return l.now("release") }

func (l *live) now(what string) ([]byte, error) {
	step := l.steps[min(int(time.Since(l.since)/time.Second), len(l.steps)-1)]
	switch object := step[what]; object {
	case "":
		return nil, errors.New("connection refused")
	case "forbidden":
		return nil, fmt.Errorf("%w (403)", cli.ErrForbidden)
	case "gone":
		return nil, fmt.Errorf("%w (404)", cli.ErrNotFound)
	default:
		return []byte(object), nil
	}
}

// inhaul runs a command with that cluster.
func inhaul(t *testing.T, l *live, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if l.objects == nil {
		l.objects = objects{"inhaul/apps/shop": app}
	}
	var out, complaint strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if l.patience != 0 {
		time.AfterFunc(l.patience, cancel)
	}
	code = cli.Commands{
		Stdout: &out, Stderr: &complaint, Now: time.Now,
		Connect: func(cli.Connection) (cli.Cluster, error) {
			return cli.Cluster{Releases: l, Log: l, Rollbacks: l, Users: l}, nil
		},
	}.Run(ctx, args)
	return code, out.String(), complaint.String()
}

// listed is a Release in a page.
func listed(number int, phase string, more ...string) string {
	return fmt.Sprintf(`{"metadata": {"creationTimestamp": "1999-12-31T22:0%d:00Z"}, "spec": {"app": "shop", "environment": "production", "number": %d, "reason": "Newest",
		"image": "registry.example/shop@sha256:%064x", "shortCommit": "%07x", "source": {"commit": "%040x", "actor": "octocat"}%s}, "status": {"phase": %q}}`,
		number%10, number, number, number, number, strings.Join(more, ""), phase)
}

func page(next string, releases ...string) string {
	return fmt.Sprintf(`{"metadata": {"continue": %q}, "items": [%s]}`, next, strings.Join(releases, ","))
}

// history is 11, which serves, and 12, which failed; beside them another line.
func history() []string {
	return []string{
		page("1", listed(9, "Succeeded"), listed(10, "Superseded"), strings.ReplaceAll(listed(99, "Succeeded"), "production", "staging")),
		page("", listed(11, "Succeeded", `, "restore": 9, "commit": "9"`), listed(12, "RolledBack")),
	}
}

const (
	admitted = `{"status": {"phase": "Admitted", "release": 13, "message": "Release 13 brings back release 9 (0000009)"}}`
	rolling  = `{"status": {"phase": "RollingOut", "message": "Waiting for new pods"}}`
	up       = `{"spec": {"number": 13, "restore": 9, "shortCommit": "0000009"}, "status": {"phase": "Succeeded"}}`
)

func TestRollback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &live{pages: history(), steps: []map[string]string{
			{"rollback": `{}`},
			{}, // the API server is away for a moment
			{"rollback": admitted, "release": rolling},
			{"release": up},
		}}
		code, out, complaint := inhaul(t, l, "rollback", "shop", "--reason", "checkout is broken", "--context", "eks prod")
		want := `asked for the previous release of shop in production, where release 11 serves
Release 13 brings back release 9 (0000009)
RollingOut: Waiting for new pods
live: shop in production runs release 9 again (0000009), 3s after you asked
way back: inhaul rollback shop --environment production --to 11 --context 'eks prod'
`
		if diff := cmp.Diff(want, out); diff != "" || code != 0 || complaint != "" {
			t.Errorf("got exit code %d, %q and (-want +got):\n%s", code, complaint, diff)
		}
		asked := map[string]any{
			"apiVersion": "inhaul.dev/v1alpha1", "kind": "Rollback",
			"metadata": map[string]any{"generateName": "shop-", "namespace": "shop-live"},
			"spec":     map[string]any{"app": "shop", "environment": "production", "to": "previous", "requestedBy": "alice", "reason": "checkout is broken"},
		}
		if diff := cmp.Diff(asked, l.asked); diff != "" {
			t.Errorf("asked for something else (-want +got):\n%s", diff)
		}
	})
}

// TestRollbackToWhatServes has no way back: what was left in its place failed.
func TestRollbackToWhatServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &live{pages: history(), steps: []map[string]string{{"rollback": admitted, "release": strings.Replace(up, `"restore": 9`, `"restore": 11`, 1)}}}
		code, out, _ := inhaul(t, l, "rollback", "shop", "--to", "11")
		if code != 0 || !strings.Contains(out, "runs release 11 again") || strings.Contains(out, "way back") {
			t.Errorf("got exit code %d and\n%s", code, out)
		}
	})
}

func TestRollbackThatDoesNotGoLive(t *testing.T) {
	t.Parallel()
	then := func(steps ...map[string]string) *live { return &live{pages: history(), steps: steps} }
	for _, c := range []struct {
		name string
		live *live
		args []string
		code int
		want string // in what was said
	}{
		{
			"refused", then(map[string]string{"rollback": `{"status": {"phase": "Refused", "message": "release 7 is not kept\u001b[2J"}}`}),
			[]string{"--to", "7"},
			1,
			"inhaul: the rollback is refused, and nothing was changed\n  why:  \"release 7 is not kept\\x1b[2J\"\n  next: inhaul releases shop --environment production lists what there is\n",
		},
		{
			"failed", then(map[string]string{
				"rollback": admitted, "release": `{"status": {"phase": "RolledBack", "restoredTo": 11, "cause": {"message": "web: it crashed", "next": "read the log", "log": "boom\nbang\n"}}}`,
			}), nil, 1,
			"inhaul: the rollback failed: release 13 is not live, and release 11 serves as before\n  why:  web: it crashed\n        | boom\n        | bang\n  next: read the log\n",
		},
		{
			"failed without a cause", then(map[string]string{"rollback": admitted, "release": `{"status": {"phase": "Failed", "message": "somebody knows"}}`}),
			[]string{"--context", "a b", "--namespace", "tools"},
			1,
			"inhaul: the rollback failed: release 13 is not live\n  why:  somebody knows\n  next: kubectl --context 'a b' -n shop-live describe release shop-13\n",
		},
		{
			"superseded", then(map[string]string{"rollback": admitted, "release": `{"status": {"phase": "Superseded", "message": "Superseded by abc1234"}}`}), nil, 1,
			"inhaul: release 13 is not live: a newer one took its place\n  why:  Superseded by abc1234\n",
		},
		{
			"no agent", then(map[string]string{"rollback": `{}`}),
			[]string{"--timeout", "3s"},
			1,
			"inhaul: there is no verdict after 3s\n  why:  the agent has not taken rollback shop-x in namespace shop-live\n  next: does the agent run? kubectl -n inhaul get pods",
		},
		{
			"no end, of an agent elsewhere", then(map[string]string{"rollback": admitted, "release": rolling}),
			[]string{"--context", "a b", "--namespace", "tools"},
			1,
			"inhaul releases shop --environment production --context 'a b' --namespace tools\n",
		},
		{
			"no end", then(map[string]string{"rollback": admitted, "release": rolling}), nil, 1,
			"inhaul: there is no verdict after 5m0s\n  why:  release 13 is on its way: RollingOut: Waiting for new pods\n  next: it goes on without you: inhaul releases shop --environment production\n",
		},
		{
			"no API server", then(map[string]string{"rollback": admitted}), nil, 1,
			"release 13 is on its way: Pending\n        last answer of the cluster: connection refused\n",
		},
		{
			"interrupted", &live{pages: history(), patience: 2 * time.Second, steps: []map[string]string{{"rollback": admitted, "release": rolling}}}, nil, 1,
			"inhaul: there is no verdict: you stopped waiting\n  why:  release 13 is on its way: RollingOut: Waiting for new pods\n  next: it goes on without you",
		},
		{"deleted", then(map[string]string{"rollback": "gone"}), nil, 1, "inhaul: somebody deleted the rollback\n"},
		{"may not be watched", then(map[string]string{"rollback": "forbidden"}), nil, 1, "inhaul: the cluster does not show how the rollback goes\n"},
		{"no right", &live{pages: history(), askFails: cli.ErrForbidden}, nil, 1, "inhaul: you may not roll back shop in production\n  why:  forbidden\n  next: ask the platform owner to bind the ClusterRole inhaul-rollback to you in namespace shop-live"},
		{"an old agent", &live{pages: history(), askFails: cli.ErrNotFound}, nil, 1, "inhaul: the cluster knows no rollbacks\n"},
		{"another name", &live{pages: history(), askFails: cli.ErrRefused}, nil, 1, "inhaul: the cluster does not take the rollback\n"},
		{"the network", &live{pages: history(), askFails: errors.New("connection refused")}, nil, 2, "inhaul: this did not work\n  why:  asking for a rollback: connection refused\n"},
		{"another environment", then(), []string{"-e", "qa"}, 1, "inhaul: app shop has no environment \"qa\" in the cluster\n  why:  App shop in namespace inhaul names staging, production\n"},
		{"no target", then(), []string{"--to", "yesterday"}, 1, "--to is \"yesterday\", want previous, a release number, or 7 to 40 lower-case hex digits of a commit"},
		{"a novel", then(), []string{"--reason", strings.Repeat("ä", 513)}, 1, "--reason has 513 characters, want at most 512"},
		{"no time", then(), []string{"--timeout", "0s"}, 1, "--timeout is 0s"},
		{"no such app", &live{objects: objects{}}, nil, 1, "inhaul: the cluster has no App shop in namespace inhaul\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				code, out, complaint := inhaul(t, c.live, append([]string{"rollback", "shop"}, c.args...)...)
				if code != c.code || !strings.Contains(complaint, c.want) {
					t.Errorf("got exit code %d and\n%s%s\nwant %d and\n%s", code, out, complaint, c.code, c.want)
				}
				if strings.Contains(out, "live") {
					t.Errorf("got %s", out)
				}
			})
		})
	}
}

func TestRollbackWithoutWaiting(t *testing.T) {
	t.Parallel()
	l := &live{pages: []string{page("")}}
	code, out, _ := inhaul(t, l, "rollback", "shop", "--to", "abc1234", "--no-wait", "--namespace", "platform")
	want := "asked for commit abc1234 of shop in production, where nothing serves\n" +
		"not waiting; inhaul releases shop --environment production --namespace platform shows what comes of it\n"
	if code != 0 || out != want {
		t.Errorf("got exit code %d and\n%s\nwant\n%s", code, out, want)
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // at midnight, at the beginning of the year 2000
		code, out, complaint := inhaul(t, &live{pages: history()}, "releases", "shop")
		want := `  NUMBER  COMMIT   IMAGE         PHASE       REASON       AGE  ACTOR
  12      000000c  000000000000  RolledBack  Newest       1h   octocat
* 11      000000b  000000000000  Succeeded   Newest to 9  1h   octocat
  10      000000a  000000000000  Superseded  Newest       2h   octocat
  9       0000009  000000000000  Succeeded   Newest       1h   octocat
`
		if diff := cmp.Diff(want, out); diff != "" || code != 0 {
			t.Errorf("got exit code %d, %s and (-want +got):\n%s", code, complaint, diff)
		}
	})
}

func TestReleasesAsJSON(t *testing.T) {
	t.Parallel()
	code, out, complaint := inhaul(t, &live{pages: history()}, "releases", "shop", "--json")
	var got []map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || len(got) != 4 {
		t.Fatalf("got exit code %d, %s, %v and %s", code, complaint, err, out)
	}
	want := map[string]any{
		"app": "shop", "environment": "production", "number": 11.0, "serving": true, "phase": "Succeeded", "reason": "Newest", "restores": 9.0,
		"commit": "9", "image": "registry.example/shop@sha256:" + fmt.Sprintf("%064x", 11), "actor": "octocat", "createdAt": "1999-12-31T22:01:00Z",
	}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("another release (-want +got):\n%s", diff)
	}
	code, out, _ = inhaul(t, &live{pages: []string{page("")}}, "releases", "shop", "--json")
	if code != 0 || out != "[]\n" {
		t.Errorf("got exit code %d and %q without releases, want an empty array", code, out)
	}
}
