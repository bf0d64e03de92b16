package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
)

func TestPreviewSurvivesItsRecord(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return time.Date(2026, 11, 23, 1, n, 3, 4000, time.UTC) }
	source := intent.Source{Repository: "acme/shop", RepositoryID: 5, Commit: "c", HeadCommit: "h", PullRequest: 7, RunID: 9, RunNumber: 3, RunAttempt: 1, EventAt: at(1)}
	reported := []agent.Reported{{Way: agent.WayCheck, Phase: agent.Succeeded, Ready: 1, ID: 8}}
	line := agent.Line{App: "shop", Environment: "pr-7"}
	want := agent.Preview{
		Line: line, Repository: "acme/shop", RepositoryID: 5, Namespace: "shop-pr-7", Phase: agent.PreviewDestroying, Message: "waits",
		CreatedAt: at(2), LastPushAt: at(3), DestroyedAt: at(4), Comment: 11, Version: "12",
		Marks: agent.LineMarks{
			Environment: "pr-7", LastNumber: 2, LastIssuedAt: at(5), LastRunID: 9, Workflows: map[string]int64{"w": 3}, LastRollbackAt: at(6),
			LastRollbackBy: "b", Current: 1, ForgottenBefore: at(7),
		},
		Decided: []agent.Decided{{Intent: "sha256:a", IssuedAt: at(8)}},
		Destroys: []agent.Destroy{{
			Intent: "sha256:b", Rule: "r", Source: source, IssuedAt: at(9), At: at(10), DoneAt: at(11), Nothing: true, Reported: reported, ReportedOn: "h",
			Evidence: intent.Evidence{Scheme: "key", KeyID: "k", Issuer: "i", TokenID: "t", IssuedAt: at(12), Claims: map[string]string{"a": "b"}},
		}},
		Remains: []agent.Release{{
			Line: line, Namespace: "shop-pr-7", Number: 1, Intent: "sha256:c", Kind: intent.Deploy, Commit: "x", Rule: "r", Image: "i@sha256:d",
			Source: source, IssuedAt: at(13), Evidence: intent.Evidence{Scheme: "key"}, Removed: true,
			Status: agent.Status{
				Phase: agent.Superseded, Message: "m", Timeline: []agent.Moment{{Step: agent.StepAdmitted, At: at(14)}}, Reported: reported, ReportedOn: "h",
			},
		}},
	}
	o := previewObject(want, "inhaul")
	if o.Name != "shop-pr-7" || o.Namespace != "inhaul" || o.Spec.PullRequest != 7 {
		t.Errorf("got %s in %s of pull request %d", o.Name, o.Namespace, o.Spec.PullRequest)
	}
	if diff := cmp.Diff(want, domainPreview(o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPreviewStaysInItsSchema(t *testing.T) {
	t.Parallel()
	p := agent.Preview{Line: agent.Line{App: "shop", Environment: "pr-7"}, Message: strings.Repeat("x", 2*v1alpha1.MaxMessage)}
	for range 2 * v1alpha1.MaxRemains {
		p.Decided, p.Destroys, p.Remains = append(p.Decided, agent.Decided{}), append(p.Destroys, agent.Destroy{}), append(p.Remains, agent.Release{})
	}
	s := previewObject(p, "inhaul").Status
	if len(s.Decided) != v1alpha1.MaxDecided || len(s.Destroys) != v1alpha1.MaxDestroys || len(s.Remains) != v1alpha1.MaxRemains || len(s.Message) > v1alpha1.MaxMessage {
		t.Errorf("got %d decided, %d destroys, %d remains and a message of %d bytes", len(s.Decided), len(s.Destroys), len(s.Remains), len(s.Message))
	}
}
