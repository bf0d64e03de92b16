package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// story is story.yaml of a folder in testdata/evidence; see the README there.
type story struct {
	Applied   metav1.Time `json:"applied"` // when the objects were written, or the Job was made
	Looked    metav1.Time `json:"looked"`  // when the agent looks
	Namespace string      `json:"namespace"`
	Release   int         `json:"release"`
	App       spec.App    `json:"app"`
	Predeploy bool        `json:"predeploy"` // the look is at the predeploy
}

// told is want.yaml: what comes of a look.
type toldStory struct {
	Done  bool         `json:"done"`
	Waits string       `json:"waits,omitempty"`
	Again string       `json:"again,omitempty"` // when to look again, after the objects were written
	Cause *agent.Cause `json:"cause,omitempty"`
}

// TestEvidence takes what a cluster said, recorded or written by hand, all the
// way: through the caches (trimmed), the observation, the verdict with its
// questions, and the testimony.
func TestEvidence(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/evidence/*/objects.yaml")
	if err != nil || len(stories) == 0 {
		t.Fatalf("stories: got %v, %v", stories, err)
	}
	for _, path := range stories {
		folder := filepath.Dir(path)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			s, r := readStory(t, folder)
			cluster := recordedCluster(t, folder)
			verdict := look(t, cluster, r, s)
			got := toldStory{Done: verdict.Done, Waits: verdict.Waits}
			if !verdict.Recheck.IsZero() {
				got.Again = verdict.Recheck.Sub(s.Applied.Time).String()
			}
			if verdict.Cause != nil {
				cause := cluster.Testimony(t.Context(), r, *verdict.Cause)
				got.Cause = &cause
			}
			compareGolden(t, filepath.Join(folder, "want.yaml"), got)
		})
	}
}

// compareGolden compares what is told, as YAML, with a golden file.
func compareGolden(t *testing.T, golden string, told any) {
	t.Helper()
	got, err := yaml.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("what is told changed (-want +got); refresh with -update:\n%s", diff)
	}
}

func readStory(t *testing.T, folder string) (story, agent.Release) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "story.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s story
	if err := yaml.UnmarshalStrict(content, &s); err != nil {
		t.Fatal(err)
	}
	r := agent.Release{
		Line: agent.Line{App: s.App.Name, Environment: "production"}, Namespace: s.Namespace, Number: s.Release,
		Intent: "sha256:recorded", App: s.App, Status: agent.Status{Phase: agent.RollingOut},
	}
	if s.Predeploy {
		r.Status.Phase = agent.Predeploying
	}
	return s, r
}

// look judges as the agent's loop does: once, and once more with the answers.
func look(t *testing.T, c *Client, r agent.Release, s story) agent.Verdict {
	t.Helper()
	now := s.Looked.UTC()
	answers := map[string]*agent.Evidence{}
	judge := func() agent.Verdict {
		if s.Predeploy {
			return lookAtPredeploy(t, c, r, s, answers)
		}
		o := observe(r, c.view(r))
		for _, service := range o.Services {
			for i := range service.Pods {
				service.Pods[i].Evidence = answers[service.Pods[i].Name]
			}
		}
		return agent.Judge(r, o, s.Applied.UTC(), now)
	}
	verdict := judge()
	if len(verdict.Ask) == 0 {
		return verdict
	}
	for _, q := range verdict.Ask {
		e := c.Evidence(t.Context(), r, q)
		e.At, e.Logged = now, q.Container != ""
		answers[q.Name] = &e
	}
	if verdict = judge(); len(verdict.Ask) > 0 {
		t.Errorf("got the questions %+v though they are answered", verdict.Ask)
	}
	return verdict
}

func lookAtPredeploy(t *testing.T, c *Client, r agent.Release, s story, answers map[string]*agent.Evidence) agent.Verdict {
	t.Helper()
	var o agent.PredeployObservation
	err := c.WatchTask(t.Context(), r, agent.TaskPredeploy, func(seen agent.PredeployObservation) bool { o = seen; return true })
	if err != nil {
		t.Fatal(err)
	}
	since := agent.Sightings{Started: s.Applied.UTC()}
	since.Note(o, s.Applied.UTC())
	for i := range o.Pods {
		o.Pods[i].Evidence = answers[o.Pods[i].Name]
	}
	o.Evidence = answers[o.Name]
	return agent.JudgeTask(agent.TaskPredeploy, *r.App.Predeploy, o, since, s.Looked.UTC())
}

// recordedCluster is a Client whose caches, and whose API server, have what a
// folder holds.
func recordedCluster(t *testing.T, folder string) *Client {
	t.Helper()
	objects := readObjects(t, filepath.Join(folder, "objects.yaml"))
	log, err := os.ReadFile(filepath.Join(folder, "log.txt"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	c := answered(t, func(w http.ResponseWriter, request *http.Request) { serveRecorded(w, request, objects, log) })
	for _, o := range objects {
		trimmed, err := trim(o.DeepCopyObject())
		if err != nil {
			t.Fatal(err)
		}
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if informer := c.informers[kind]; informer != nil {
			if err := informer.GetStore().Add(trimmed); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// serveRecorded answers as an API server that has objects and, of every
// container, log. It knows the requests of Evidence and Testimony alone.
func serveRecorded(w http.ResponseWriter, request *http.Request, objects []runtime.Object, log []byte) {
	w.Header().Set("Content-Type", "application/json")
	kind := map[string]string{"events": "Event", "secrets": "Secret"}[request.URL.Path[strings.LastIndexByte(request.URL.Path, '/')+1:]]
	selector, err := fields.ParseSelector(request.URL.Query().Get("fieldSelector"))
	switch {
	case strings.HasSuffix(request.URL.Path, "/log"):
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(log) // a failed write fails the reader
		return
	case kind == "" || err != nil:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound})
		return
	}
	items := []runtime.Object{}
	for _, o := range objects {
		event, isEvent := o.(*corev1.Event)
		if o.GetObjectKind().GroupVersionKind().Kind != kind || isEvent && !selector.Matches(fields.Set{
			"involvedObject.kind": event.InvolvedObject.Kind, "involvedObject.name": event.InvolvedObject.Name, "involvedObject.namespace": event.InvolvedObject.Namespace,
		}) {
			continue
		}
		items = append(items, o)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": kind + "List", "items": items})
}

// readObjects reads documents as kubectl prints them: objects, or lists of them.
func readObjects(t *testing.T, path string) []runtime.Object {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	decode := func(document []byte) {
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, o)
	}
	for document := range bytes.SplitSeq(content, []byte("\n---\n")) {
		var list struct {
			Kind  string            `json:"kind"`
			Items []json.RawMessage `json:"items"`
		}
		if err := yaml.Unmarshal(document, &list); err != nil {
			t.Fatal(err)
		}
		if list.Kind != "List" {
			decode(document)
		}
		for _, item := range list.Items {
			decode(item)
		}
	}
	return objects
}

// TestEvidenceOfAClusterThatDoesNotAnswer is about an API server with other
// worries.
func TestEvidenceOfAClusterThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	r := agent.Release{Line: agent.Line{App: "shop"}, Namespace: "shop", Number: 7}
	for _, q := range []agent.Question{{Name: "shop-web-a", Container: "web"}, {Job: true, Name: render.PredeployName(r)}} {
		if e := c.Evidence(t.Context(), r, q); !e.Unread || e.Missing || e.Log != "" || len(e.Events) != 0 {
			t.Errorf("%+v: got %+v, want it said that nothing could be read", q, e)
		}
	}
	r.App.Services = []spec.Service{{Name: "web", Secrets: map[string]string{"A": "k8s://a#b"}}}
	if got := c.Testimony(t.Context(), r, agent.Cause{Kind: agent.CauseCrash, Message: "web: crashed", Pod: "a", Container: "web"}); got.Message != "web: crashed" || got.Log != "" {
		t.Errorf("got %+v, want the cause as it is", got)
	}
}

// TestNothingIsQuotedWhileSecretsAreUnknown is about an agent that may read logs and
// events and, at first, not the Secrets: what it says of a pod goes to a check that
// everybody may read.
func TestNothingIsQuotedWhileSecretsAreUnknown(t *testing.T) {
	t.Parallel()
	const value = "hunter22222"
	applied := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	r := agent.Release{Line: agent.Line{App: "shop"}, Namespace: "shop", Number: 7}
	observed := func(c agent.ContainerObservation) agent.Observation {
		c.Name = "web"
		return agent.Observation{Services: []agent.ServiceObservation{{
			Name: "web", Desired: 1, Observed: true, Updated: 1,
			Pods: []agent.PodObservation{{Name: "shop-web-a", CreatedAt: applied, ScheduledAt: applied, Containers: []agent.ContainerObservation{c}}},
		}}}
	}
	crashed := agent.ContainerObservation{Waiting: "CrashLoopBackOff", Restarts: 3, Ended: 4, ExitCode: 127, EndReason: "Error", EndedAt: applied.Add(10 * time.Second)}
	unready := agent.ContainerObservation{Running: true}
	// tell is what is told of a container; secrets is how the API server answers a
	// list of them, 0 for an app that has none.
	tell := func(container agent.ContainerObservation, secrets int) agent.Cause {
		o := observed(container)
		r, service := r, spec.Service{Name: "web"}
		if secrets != 0 {
			service.Secrets = map[string]string{"A": "k8s://a#b"}
		}
		r.App.Services = []spec.Service{service}
		c := answered(t, func(w http.ResponseWriter, request *http.Request) { serveSpilled(w, request, secrets, value) })
		now := applied.Add(30 * time.Minute)
		verdict := agent.Judge(r, o, applied, now)
		for _, q := range verdict.Ask {
			e := c.Evidence(t.Context(), r, q)
			e.At, e.Logged = now, true
			o.Services[0].Pods[0].Evidence = &e
			verdict = agent.Judge(r, o, applied, now)
		}
		if verdict.Cause == nil {
			t.Fatalf("got the verdict %+v, want a cause", verdict)
		}
		return c.Testimony(t.Context(), r, *verdict.Cause)
	}
	for name, c := range map[string]agent.ContainerObservation{"its log's last line": crashed, "its check's output": unready} {
		if got := tell(c, 0); !strings.Contains(got.Message, value) || got.Log == withheld {
			t.Errorf("%s, of an app without secrets: got %+v, want it quoted", name, got)
		}
		got := tell(c, http.StatusOK)
		if text := fmt.Sprintf("%+v", got); strings.Contains(text, value) || !strings.Contains(got.Message, redacted) {
			t.Errorf("%s, of known secrets: got %s, want it without the value", name, text)
		}
		for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError} {
			got := tell(c, status)
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, value) || got.Log != withheld || !slices.Equal(got.Events, []string{"Unhealthy: " + withheldMessage}) {
				t.Errorf("%s, of secrets that answer %d: got %s, want all of it withheld", name, status, text)
			}
		}
	}
}

// serveSpilled answers as an API server whose pod tells the value of a Secret in its
// log and in what its check says, and which answers a list of Secrets with status.
func serveSpilled(w http.ResponseWriter, request *http.Request, status int, value string) {
	w.Header().Set("Content-Type", "application/json")
	switch path := request.URL.Path; {
	case strings.HasSuffix(path, "/log"):
		_, _ = fmt.Fprintf(w, "sh: %s: not found\n", value) // a failed write fails the reader
	case strings.HasSuffix(path, "/events"):
		_ = json.NewEncoder(w).Encode(corev1.EventList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "EventList"},
			Items:    []corev1.Event{{Reason: "Unhealthy", Message: "Readiness probe failed: no " + value}},
		})
	case status != http.StatusOK:
		w.WriteHeader(status)
	default:
		_ = json.NewEncoder(w).Encode(corev1.SecretList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"},
			Items:    []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"A": []byte(value)}}},
		})
	}
}

func TestEventsOfSeveralPodsAreOneLine(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	event := func(pod, ip string, count int32) corev1.Event {
		return corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod, UID: "uid-" + "of-" + "it"}, Reason: "Unhealthy", Count: count,
			Message: "Readiness probe of " + pod + " failed: dial tcp " + ip + ":8080: connect: connection refused", LastTimestamp: metav1.NewTime(start.Add(time.Duration(count) * time.Second)),
		}
	}
	got := eventLines([]corev1.Event{event("web-a", "10.0.0.1", 3), event("web-b", "10.0.0.2", 4)}, redact)
	want := []string{"Unhealthy: Readiness probe of web-b failed: dial tcp 10.0.0.2:8080: connect: connection refused (7 times, of 2 pods)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestALongSecretIsTakenOutLineByLine is about a program that logs a key of which
// each line has a prefix of its own.
func TestALongSecretIsTakenOutLineByLine(t *testing.T) {
	t.Parallel()
	c := answered(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(corev1.SecretList{ // a failed write fails the reader
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"},
			Items:    []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"KEY": []byte("correct-horse-battery\nstaple\nagain-a-long-line\n")}}},
		})
	})
	r := agent.Release{Line: agent.Line{App: "shop"}, Namespace: "shop", Number: 7}
	r.App.Services = []spec.Service{{Name: "web", Secrets: map[string]string{"KEY": "k8s://a#b"}}}
	secrets, err := c.ownValues(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	got := secrets.scrub("1: correct-horse-battery\n2: staple\n3: again-a-long-line")
	if want := "1: [redacted]\n2: staple\n3: [redacted]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
