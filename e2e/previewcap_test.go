package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	capOfPreviews = 5
	madeRoom      = "Made room for another preview"
	capPatience   = 90 * time.Second
	toldPatience  = 3 * time.Minute // a client of GitHub may write 80 times a minute, and others write too
)

// TestCapOfPreviews lets eight pull requests ask for five previews: the three that
// have been idle longest make room, are told so and nobody else is, and get their
// preview again when there is room. One that a label keeps makes none.
func TestCapOfPreviews(t *testing.T) {
	if size("INHAUL_PREVIEWS") == 0 {
		t.Skip("INHAUL_PREVIEWS is not set; `make previews` does that")
	}
	sweep, err := time.ParseDuration(os.Getenv("INHAUL_SWEEP_INTERVAL"))
	if err != nil {
		t.Fatalf("INHAUL_SWEEP_INTERVAL is %q, want that of the agent", os.Getenv("INHAUL_SWEEP_INTERVAL"))
	}
	pt := newPreviewTeam(t, "cap", map[string]any{"max": int64(capOfPreviews)})
	digests := map[int]string{} // the newest, by number
	do := func(number int, o op) {
		t.Helper()
		time.Sleep(second) // GitHub tells times in whole ones
		event, err := pt.happen(t.Context(), pullOf(number), o)
		if err == nil && o.asks != asksNothing {
			digests[number], err = pt.deliver(t.Context(), event)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await := func(what string, live ...int) {
		t.Helper()
		pt.await(t, what, digests, live)
	}
	kept := []string{keepLabel}
	for number := range capOfPreviews {
		do(number+1, op{action: "opened", asks: asksDeploy})
	}
	await("the first five", 1, 2, 3, 4, 5)
	do(1, op{action: "labeled", label: keepLabel, labels: kept})
	do(2, op{action: "synchronize", asks: asksDeploy})
	await("a push to the second", 1, 2, 3, 4, 5)
	time.Sleep(2*sweep + second) // the label is seen by the sweep

	do(6, op{action: "opened", asks: asksDeploy})
	await("a sixth", 1, 2, 4, 5, 6)
	do(7, op{action: "opened", asks: asksDeploy})
	do(8, op{action: "opened", asks: asksDeploy})
	await("eight", 1, 2, 6, 7, 8)
	pt.awaitTold(t, 3, 4, 5)

	for _, number := range []int{3, 4, 5} {
		digests[number] = comesBack(digests[number])
	}
	do(6, op{action: "closed", asks: asksDestroy})
	await("room for one", 1, 2, 5, 7, 8) // the newest push first
	do(1, op{action: "closed", labels: kept, asks: asksDestroy})
	do(2, op{action: "closed", asks: asksDestroy})
	await("room for all", 3, 4, 5, 7, 8)
	pt.awaitTold(t)
}

// comesBack is the intent that a release has which comes back after it made room: its
// own was answered for good. docs/adr/0026-who-makes-room.md
func comesBack(digest string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("inhaul.dev/room\n"+digest)))
}

func pullOf(number int) pullRequest {
	return pullRequest{number: number, branch: fmt.Sprintf("change-%d", number), base: "main"}
}

// await returns when exactly these pull requests have a live preview of their newest
// push.
func (pt *previewTeam) await(t *testing.T, what string, digests map[int]string, live []int) {
	t.Helper()
	var problems []string
	for deadline := time.Now().Add(capPatience); time.Now().Before(deadline); time.Sleep(settlePause) {
		now, err := pt.there(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		problems = nil
		for _, number := range live {
			name := pt.namespace(pullOf(number))
			why := "no namespace"
			if now[name] {
				if why, err = pt.lacks(t.Context(), name, digests[number]); err != nil {
					t.Fatal(err)
				}
			}
			if delete(now, name); why != "" {
				problems = append(problems, name+": "+why)
			}
		}
		for name := range now {
			problems = append(problems, name+" is there")
		}
		if len(problems) == 0 {
			return
		}
	}
	t.Fatalf("%s: after %s: %s", what, capPatience, strings.Join(problems, "; "))
}

// awaitTold returns when the comments of exactly these pull requests say that they
// made room.
func (pt *previewTeam) awaitTold(t *testing.T, want ...int) {
	t.Helper()
	var got []int
	for deadline := time.Now().Add(toldPatience); time.Now().Before(deadline); time.Sleep(settlePause) {
		comments, err := pt.comments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for number, text := range comments {
			if strings.Contains(text, madeRoom) {
				got = append(got, number)
			}
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("got %v told that they made room, want %v", got, want)
}

// comments are what the pull requests' comments say now, by number.
func (pt *previewTeam) comments(ctx context.Context) (map[int]string, error) {
	var changes []struct {
		Repository, Text, State string
		Issue                   int
	}
	if err := pt.lab(ctx, http.MethodGet, "changes?kind=comment", nil, &changes); err != nil {
		return nil, err
	}
	now := map[int]string{}
	for _, c := range changes {
		if c.Repository == pt.repository() {
			now[c.Issue] = c.Text
		}
	}
	return now, nil
}
