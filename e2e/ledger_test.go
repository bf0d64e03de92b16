package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// watchRetry is between two tries of the ledger to go on watching: nothing may be
// made and deleted unseen while the API server comes back.
const watchRetry = 50 * time.Millisecond

// ledger writes down what a cluster and GitHub show, from when it is opened to the
// end of the test; nothing is ever struck out. It may be asked at any time.
type ledger struct {
	team *team

	mu          sync.Mutex
	releases    map[string]release         // by UID, as last seen; those that are gone too
	rollbacks   map[string]rollback        // by the intent digest that stands for them
	refusals    map[string]refusal         // by intent digest, or by tag where nothing of the intent was believed
	jobs        map[string]map[string]bool // UIDs of a predeploy's Jobs, by intent digest
	pods        map[string]map[string]bool // UIDs of the pods of a Job, by the Job's UID
	deployments map[string][]serving       // by namespace/name, in order
	checks      []checkChange
	written     []written // deployments and comments
	read        int       // number of the last line of the stand-in's history
}

// release is what the ledger reads of a Release.
type release struct {
	Metadata struct{ Name, Namespace, UID string }
	Spec     struct {
		App, Environment, Intent, Reason string
		Number, Restore                  int
		Image, Commit                    string
		Source                           struct {
			Commit string
			RunID  int64
		}
	}
	Status struct {
		Phase, Message string
		RestoredTo     int
		Reported       []struct {
			Way, Phase string
			ID         int64
		}
		Timeline []struct {
			Step string
			At   time.Time
		}
		Inventory []struct{ Kind, Name string }
	}
	gone bool // it was trimmed
}

func (r release) at(step string) time.Time {
	for _, m := range r.Status.Timeline {
		if m.Step == step {
			return m.At
		}
	}
	return time.Time{}
}

// shown is the phase that a way shows of the release; empty for none.
func (r release) shown(way string) string {
	for _, reported := range r.Status.Reported {
		if reported.Way == way {
			return reported.Phase
		}
	}
	return ""
}

func (r release) terminal() bool {
	return slices.Contains([]string{"Succeeded", "Failed", "RolledBack", "Superseded"}, r.Status.Phase)
}

// refusal is what the ledger reads of a refusal on an App.
type refusal struct {
	Intent, Tag, Rule, Message, Repository string
	Superseded                             bool
	Reported                               []string // ways
	At                                     time.Time
}

// serving is which commit a Deployment has from a moment on.
type serving struct {
	at     time.Time
	commit string
}

// checkChange is a line of the stand-in's history of check runs.
type checkChange struct {
	Number                                  int
	At, CompletedAt                         time.Time
	CheckRun                                int64
	HeadSHA, ExternalID, Status, Conclusion string
	Title                                   string
}

// openLedger begins to write down what happens to the apps of tm.
func openLedger(t *testing.T, tm *team) *ledger {
	t.Helper()
	l := &ledger{
		team: tm, releases: map[string]release{}, rollbacks: map[string]rollback{}, refusals: map[string]refusal{},
		jobs: map[string]map[string]bool{}, pods: map[string]map[string]bool{}, deployments: map[string][]serving{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for resource, watched := range map[schema.GroupVersionResource]struct {
		selector string
		see      func(o *unstructured.Unstructured, gone bool)
	}{
		releaseResource:    {"", l.seeRelease},
		appResource:        {"", l.seeApp},
		rollbackResource:   {"", l.seeRollback},
		deploymentResource: {"inhaul.dev/app", l.seeDeployment},
		jobResource:        {"inhaul.dev/task=predeploy", l.seeJob},
		podResource:        {"batch.kubernetes.io/controller-uid", l.seePod},
	} {
		watching.Go(func() { tm.follow(ctx, resource, watched.selector, watched.see) })
	}
	watching.Go(func() { l.followChecks(ctx) })
	t.Cleanup(func() { cancel(); watching.Wait() })
	return l
}

// follow calls see with every object and every change of one, until ctx ends.
func (tm *team) follow(ctx context.Context, resource schema.GroupVersionResource, selector string, see func(o *unstructured.Unstructured, gone bool)) {
	version := ""
	for ctx.Err() == nil {
		if version == "" {
			list, err := tm.client.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				time.Sleep(watchRetry)
				continue
			}
			for i := range list.Items {
				see(&list.Items[i], false)
			}
			version = list.GetResourceVersion()
		}
		watching, err := tm.client.Resource(resource).Watch(ctx, metav1.ListOptions{LabelSelector: selector, ResourceVersion: version})
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			version = ""
			continue
		}
		if err != nil {
			time.Sleep(watchRetry)
			continue
		}
		for event := range watching.ResultChan() {
			o, ok := event.Object.(*unstructured.Unstructured)
			if event.Type == watch.Error || !ok {
				version = "" // too old, or the server is ending: everything anew
				break
			}
			version = o.GetResourceVersion()
			see(o, event.Type == watch.Deleted)
		}
		watching.Stop()
	}
}

func (l *ledger) seeRelease(o *unstructured.Unstructured, gone bool) {
	r := release{gone: gone}
	if decode(o.Object, &r) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.releases[r.Metadata.UID] = r
	}
}

func (l *ledger) seeApp(o *unstructured.Unstructured, _ bool) {
	var app struct{ Status struct{ Refusals []refusal } }
	if decode(o.Object, &app) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range app.Status.Refusals {
		l.refusals[cmp.Or(r.Intent, r.Tag)] = r
	}
}

func (l *ledger) seeDeployment(o *unstructured.Unstructured, _ bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, commit := o.GetNamespace()+"/"+o.GetName(), o.GetAnnotations()["inhaul.dev/commit"]
	if past := l.deployments[key]; len(past) == 0 || past[len(past)-1].commit != commit {
		l.deployments[key] = append(past, serving{time.Now(), commit})
	}
}

func (l *ledger) seeJob(o *unstructured.Unstructured, _ bool) {
	l.count(l.jobs, o.GetAnnotations()["inhaul.dev/intent"], o)
}

func (l *ledger) seePod(o *unstructured.Unstructured, _ bool) {
	l.count(l.pods, o.GetLabels()["batch.kubernetes.io/controller-uid"], o)
}

func (l *ledger) count(all map[string]map[string]bool, key string, o *unstructured.Unstructured) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all[key] == nil {
		all[key] = map[string]bool{}
	}
	all[key][string(o.GetUID())] = true
}

// followChecks reads the stand-in's history as it grows.
func (l *ledger) followChecks(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(2 * watchRetry) {
		_ = l.readChecks(ctx) // it is asked again
	}
}

// readChecks takes in what is new in the stand-in's history.
func (l *ledger) readChecks(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := 0
	if n := len(l.checks); n > 0 {
		last = l.checks[n-1].Number
	}
	var news []checkChange
	if err := l.team.lab(ctx, http.MethodGet, fmt.Sprintf("check-changes?after=%d", last), nil, &news); err != nil {
		return err
	}
	l.checks = append(l.checks, news...)
	return nil
}

// of are the releases of a line that were ever seen, oldest first.
func (l *ledger) of(line *line) []release {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := slices.DeleteFunc(slices.Collect(maps.Values(l.releases)), func(r release) bool {
		return r.Spec.App != line.app || r.Spec.Environment != line.environment
	})
	slices.SortFunc(found, func(a, b release) int { return a.Spec.Number - b.Spec.Number })
	return found
}

// releaseOf is the release of a push.
func (l *ledger) releaseOf(p *push) (release, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.releases {
		if r.Spec.Intent == p.digest {
			return r, true
		}
	}
	return release{}, false
}

func (l *ledger) refusalOf(p *push) (refusal, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range []string{p.digest, p.tag} {
		if r, found := l.refusals[key]; found {
			return r, true
		}
	}
	if r := l.rollbacks[p.digest]; p.inCluster && r.Status.Phase == "Refused" {
		return refusal{Intent: p.digest, Rule: "rollback", Message: r.Status.Message, At: r.Status.FinishedAt}, true
	}
	return refusal{}, false
}

// served is the commit that a Deployment had at a moment, as far as was seen.
func (l *ledger) served(deployment string, at time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	commit := ""
	for _, s := range l.deployments[deployment] {
		if s.at.After(at) {
			break
		}
		commit = s.commit
	}
	return commit
}

func decode(from, into any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
