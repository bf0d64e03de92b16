package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// teamPull is the pull request that everything of a team's staging is of: its
// repository has no other one.
const teamPull = 7

// written is a line of the stand-in's history of all that is shown.
type written struct {
	Number     int
	Kind       string // deployment, deployment_status, comment …
	ID         int64  // of a deployment's status, the deployment's
	Repository string
	SHA        string
	Issue      int
	ExternalID string
	State      string
	Text       string
}

// readWritten takes in what is new in the stand-in's history of deployments and
// comments.
func (l *ledger) readWritten(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var news []written
	if err := l.team.lab(ctx, http.MethodGet, fmt.Sprintf("changes?after=%d", l.read), nil, &news); err != nil {
		return err
	}
	for _, w := range news {
		l.read = w.Number
		if slices.Contains([]string{"deployment", "deployment_status", "comment"}, w.Kind) {
			l.written = append(l.written, w)
		}
	}
	return nil
}

// writtenHistory is what was ever wrong with the deployments and comments of a
// team: two for one intent or pull request, or a word after the last one.
func (l *ledger) writtenHistory(pushed map[string]*push) (found []string) {
	repositories := map[string]bool{}
	for _, line := range l.team.lines {
		repositories[line.repository] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	deployments, comments, states := map[string]int64{}, map[string]int64{}, map[int64]string{}
	for _, w := range l.written {
		p := pushed[w.ExternalID]
		switch {
		case !repositories[w.Repository]:
		case w.Kind == "deployment" && p != nil:
			if old := deployments[w.ExternalID]; old != 0 {
				found = append(found, fmt.Sprintf("%s run %d: deployments %d and %d are of the same intent", p.line, p.run, old, w.ID))
			}
			deployments[w.ExternalID] = w.ID
		case w.Kind == "deployment_status":
			if old := states[w.ID]; old == "inactive" || old == "failure" || old == w.State && old == "success" {
				found = append(found, fmt.Sprintf("%s: deployment %d was %s and became %s", w.Repository, w.ID, old, w.State))
			}
			states[w.ID] = w.State
		case w.Kind == "comment" && w.State == "created":
			key := fmt.Sprint(w.Repository, "#", w.Issue)
			if old := comments[key]; old != 0 {
				found = append(found, fmt.Sprintf("%s: comments %d and %d", key, old, w.ID))
			}
			comments[key] = w.ID
		}
	}
	return slices.Compact(found)
}

// deployed is what is wrong with the deployments of a line of which nothing is
// under way: each release has one, and that of the newest success alone is a success.
func (l *ledger) deployed(line *line, releases []release) (found []string) {
	live := 0
	for _, r := range releases {
		if r.Status.Phase == "Succeeded" {
			live = r.Spec.Number
		}
	}
	for _, r := range releases {
		want := map[string]string{"Succeeded": "inactive", "Superseded": "inactive", "Failed": "failure", "RolledBack": "failure"}[r.Status.Phase]
		if r.Spec.Number == live {
			want = "success"
		}
		if got := l.deploymentState(r.Spec.Intent); got != want {
			found = append(found, fmt.Sprintf("%s: the deployment of release %d, which is %s, is %q, want %q", line, r.Spec.Number, r.Status.Phase, got, want))
		}
	}
	return found
}

// deploymentState is the state of an intent's deployment; empty if there is none.
func (l *ledger) deploymentState(intent string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, state := int64(0), ""
	for _, w := range l.written {
		switch {
		case w.Kind == "deployment" && w.ExternalID == intent:
			id = w.ID
		case w.Kind == "deployment_status" && w.ID == id:
			state = w.State
		}
	}
	return state
}

// commented is what is wrong with the comment about a line of the team's pull
// request: it shows the newest release.
func (l *ledger) commented(line *line, releases []release) []string {
	if line.environment != "staging" || len(releases) == 0 {
		return nil
	}
	newest := releases[len(releases)-1]
	want := map[string]string{"Succeeded": "Live", "Failed": "Failed", "RolledBack": "Failed"}[newest.Status.Phase]
	body := ""
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.written {
		if w.Kind == "comment" && w.Repository == line.repository && w.Issue == teamPull {
			body = w.Text
		}
	}
	for row := range strings.SplitSeq(body, "\n") {
		if strings.HasPrefix(row, "| staging |") && want != "" && strings.Contains(row, want) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: release %d is %s, and the comment says %q", line, newest.Spec.Number, newest.Status.Phase, body)}
}
