package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/intent"
)

// hub is what a world shows beside check runs.
type hub struct {
	loud        bool                             // every way is on
	ways        []Way                            // that are on beside the check, if it is not loud
	onSay       func(context.Context, Way) error // before anything is shown by a way other than the check
	strangers   map[string]bool                  // head commits that are of no pull request
	asked       []string                         // commits that GitHub was asked about
	deployments map[string]Deployment            // by intent
	deployed    []string                         // intents, in the order in which their deployments were made
	states      map[string][]DeploymentState     // by intent
	comments    map[string]Comment               // by marker and pull request
	commented   int                              // times that a comment was written
	sought      int                              // times that one was looked for by its marker
	statuses    map[string][]CommitStatus        // by commit and context
	receipts    map[string][]Receipt             // by intent
}

func newHub() hub {
	return hub{
		strangers: map[string]bool{}, deployments: map[string]Deployment{}, states: map[string][]DeploymentState{},
		comments: map[string]Comment{}, statuses: map[string][]CommitStatus{}, receipts: map[string][]Receipt{},
	}
}

// beLoud turns every way on, and lets pull requests into staging.
func (w *world) beLoud() {
	w.hub.loud = true
	w.app.Rules[1].Events = []string{"push", "pull_request"}
}

// connect sets the ports of the ways that are on.
func (w *world) connect(p *Ports) {
	on := func(way Way) bool { return w.hub.loud || slices.Contains(w.hub.ways, way) }
	if !w.mute {
		p.Checks = w
	}
	if on(WayStatus) {
		p.Statuses = w
	}
	if on(WayReceipt) {
		p.Receipts = w
	}
	if on(WayDeployment) {
		p.Deployments = w
	}
	if on(WayComment) {
		p.Comments = w
	}
	if w.hub.loud {
		p.PullRequests = w
	}
}

// say is call of a way.
func (w *world) say(ctx context.Context, way Way, do func(*hub) error) error {
	if w.hub.onSay != nil {
		if err := w.hub.onSay(ctx, way); err != nil {
			return err
		}
	}
	return w.call(ctx, func() error { return do(&w.hub) })
}

func (w *world) ShowDeployment(ctx context.Context, d Deployment) (int64, error) {
	err := w.say(ctx, WayDeployment, func(h *hub) error {
		old, found := h.deployments[d.Intent]
		if !found {
			h.deployed = append(h.deployed, d.Intent)
			old.ID = int64(len(h.deployed))
		}
		if d.ID != 0 && d.ID != old.ID {
			return fmt.Errorf("got deployment %d of an intent that has %d", d.ID, old.ID)
		}
		if d.ID = old.ID; old.State != d.State {
			h.states[d.Intent] = append(h.states[d.Intent], d.State)
		}
		h.deployments[d.Intent] = d
		return nil
	})
	return w.hub.deployments[d.Intent].ID, err
}

func (w *world) ShowComment(ctx context.Context, c Comment) (int64, error) {
	key := fmt.Sprintf("%d%s", c.PullRequest, c.Marker)
	err := w.say(ctx, WayComment, func(h *hub) error {
		if c.ID == 0 {
			h.sought++
		}
		old, found := h.comments[key]
		if !found {
			old.ID = int64(len(h.comments) + 1)
		}
		if c.ID != 0 && c.ID != old.ID || !strings.Contains(c.Body, c.Marker) {
			return fmt.Errorf("got comment %d with body %q of %s, which has %d", c.ID, c.Body, key, old.ID)
		}
		c.ID = old.ID
		h.comments[key] = c
		h.commented++
		return nil
	})
	return w.hub.comments[key].ID, err
}

func (w *world) ShowStatus(ctx context.Context, s CommitStatus) error {
	return w.say(ctx, WayStatus, func(h *hub) error {
		key := s.Commit + s.Context
		if n := len(h.statuses[key]); n == 0 || h.statuses[key][n-1] != s {
			h.statuses[key] = append(h.statuses[key], s)
		}
		return nil
	})
}

func (w *world) PublishReceipt(ctx context.Context, r Receipt) error {
	return w.say(ctx, WayReceipt, func(h *hub) error {
		all := h.receipts[r.Intent]
		i := slices.IndexFunc(all, func(old Receipt) bool { return old.Number == r.Number })
		switch {
		case i >= 0 && !cmp.Equal(all[i], r):
			return ErrExists
		case i < 0 && r.Number != len(all)+1:
			return fmt.Errorf("got receipt %d after %d", r.Number, len(all))
		case i < 0:
			h.receipts[r.Intent] = append(all, r)
		}
		return nil
	})
}

func (w *world) HasCommit(ctx context.Context, _ string, _ int, commit string) (belongs bool, err error) {
	err = w.say(ctx, "", func(h *hub) error {
		h.asked = append(h.asked, commit)
		belongs = !h.strangers[commit]
		return nil
	})
	return belongs, err
}

// headOf is the head commit of the pull request of a run.
func headOf(r run) string { return fmt.Sprintf("bead%04x%032x", r.id, 0) }

// proposed makes a run one of pull request 7, to staging.
func proposed(r run) run {
	r.change = func(p *intent.Predicate) {
		p.Environment, p.Source.Event, p.Source.PullRequest = "staging", "pull_request", 7
		p.Source.Ref, p.Source.HeadCommit = "refs/heads/feature", headOf(r)
	}
	return r
}

// checkWays is what is wrong with what every way but the check shows of what is
// durable.
func (w *world) checkWays(t *testing.T) {
	t.Helper()
	live := map[Line]string{}
	for _, r := range w.releases {
		if r.Status.Phase == Succeeded {
			live[r.Line] = r.Intent
		}
	}
	for _, r := range w.releases {
		w.checkDeployment(t, r, live[r.Line])
		w.checkReceipts(t, r.Intent)
		on := orElse(r.Status.ReportedOn, r.Source.Commit)
		if last := w.lastStatus(on, r.Line); last.State == "" || last.State == "pending" {
			t.Errorf("release %d of %s: got status %+v at last", r.Number, r.Line, last)
		}
		for _, way := range (Ports{Checks: w, Statuses: w, Receipts: w, Deployments: w, Comments: w}).Ways() {
			if r.late(way, w.Releases(r.Line)).unreported(way) && w.hub.loud {
				t.Errorf("release %d of %s: got %+v, which the %s does not show", r.Number, r.Line, r.Status.Reported, way)
			}
		}
	}
	for _, r := range w.app.Status.Refusals {
		w.checkReceipts(t, r.Intent)
		if len(r.Reported) != 3 {
			t.Errorf("refusal %s: got reported %v, want by check, status and receipt", r.Tag, r.Reported)
		}
	}
	if len(w.hub.deployments) != len(w.releases) {
		t.Errorf("got %d deployments of %d releases", len(w.hub.deployments), len(w.releases))
	}
}

func (w *world) lastStatus(commit string, line Line) CommitStatus {
	all := w.hub.statuses[commit+CheckName(line, 1234, nil)]
	if len(all) == 0 {
		return CommitStatus{}
	}
	return all[len(all)-1]
}

func (w *world) checkDeployment(t *testing.T, r Release, live string) {
	t.Helper()
	want := map[Phase]DeploymentState{
		Succeeded: DeploymentInactive, Superseded: DeploymentInactive, Failed: DeploymentFailure, RolledBack: DeploymentFailure,
	}[r.Status.Phase]
	if r.Intent == live {
		want = DeploymentSuccess
	}
	d := w.hub.deployments[r.Intent]
	if d.State != want || d.ID != r.Status.Shown(WayDeployment).ID {
		t.Errorf("release %d of %s, %s: got deployment %d %s after %s, want %d %s",
			r.Number, r.Line, r.Status.Phase, d.ID, d.State, w.hub.states[r.Intent], r.Status.Shown(WayDeployment).ID, want)
	}
}

// checkReceipts wants one receipt after the other, of which the last alone is
// final, but where a word was said again after a death.
func (w *world) checkReceipts(t *testing.T, digest string) {
	t.Helper()
	all := w.hub.receipts[digest]
	if len(all) == 0 || !all[len(all)-1].Final {
		t.Errorf("intent %s: got receipts %+v, want the last one final", digest, all)
		return
	}
	for _, r := range all {
		if r.Final != (r.Check.Status == Completed) || r.Check.Status == Completed && r.Check.Conclusion != all[len(all)-1].Check.Conclusion {
			t.Errorf("intent %s: got receipt %d of %d final %t with check %s %s", digest, r.Number, len(all), r.Final, r.Check.Status, r.Check.Conclusion)
		}
	}
}

var errAway = errors.New("502 Bad Gateway")
