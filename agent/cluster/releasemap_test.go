package cluster

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
)

// fill sets every field that v has, so that a field which the mapping forgets
// is seen.
func fill(v reflect.Value, seed *int64) {
	*seed++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 1, 2, 3, int(*seed)*1000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, seed)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), seed)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), seed)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, seed)
		fill(value, seed)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text" + strings.Repeat("x", int(*seed%5)) + string(rune('a'+*seed%26)))
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(*seed)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("fill cannot set a " + v.Kind().String())
	}
}

func filled[T any]() T {
	var v T
	var seed int64
	fill(reflect.ValueOf(&v).Elem(), &seed)
	return v
}

func TestReleaseRoundTrip(t *testing.T) {
	t.Parallel()
	want := filled[agent.Release]()
	want.Removed, want.Parked, want.Asleep = false, false, false // of a release that has no resource any more, and of its preview
	encoded, err := json.Marshal(releaseResource(want))
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.Release
	if err := json.Unmarshal(encoded, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, domainRelease(&stored)); diff != "" {
		t.Errorf("lost on the way through the API server (-want +got):\n%s", diff)
	}
}

func TestMessagesAreScrubbedButOfMissingSecrets(t *testing.T) {
	t.Parallel()
	const missing = `web: API_TOKEN: there is no Secret "shop": kubectl create secret generic shop --from-literal=API_TOKEN=VALUE`
	for _, test := range []struct {
		kind       agent.CauseKind
		said, want string
	}{
		{agent.CauseSecret, missing, missing},
		{agent.CauseRejected, "the webhook does not like password=hunter2", "the webhook does not like password=[redacted]"},
	} {
		got := statusResource(agent.Status{Message: "Failed: " + test.said, Cause: &agent.Cause{Kind: test.kind, Message: test.said}})
		if got.Cause.Message != test.want || got.Message != "Failed: "+test.want {
			t.Errorf("%s: got %q, %q; want %q", test.kind, got.Message, got.Cause.Message, test.want)
		}
	}
}

func TestReleaseRoundTripOfWhatIsEmpty(t *testing.T) {
	t.Parallel()
	want := agent.Release{Status: agent.Status{Phase: agent.Pending}}
	if diff := cmp.Diff(want, domainRelease(releaseResource(agent.Release{})), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefinitionIsReadStrictly(t *testing.T) {
	t.Parallel()
	const known = `{"name":"shop","services":[{"name":"web","type":"web","port":8080,"replicas":1,"cpu":"1","memory":"1Gi"}]}`
	stored := func(definition string) *v1alpha1.Release {
		return &v1alpha1.Release{Spec: v1alpha1.ReleaseSpec{App: "shop", Number: 7, Definition: runtime.RawExtension{Raw: []byte(definition)}}}
	}
	if got := domainRelease(stored(known)); len(got.App.Services) != 1 || got.App.Services[0].Port != 8080 {
		t.Errorf("got %+v", got.App)
	}
	for name, definition := range map[string]string{
		"a key of tomorrow":    strings.Replace(known, `"port"`, `"mesh":true,"port"`, 1),
		"a value of tomorrow":  strings.Replace(known, `8080`, `"http"`, 1),
		"what is cut off":      known[:40],
		"nothing":              "",
		"an app without words": `{}`,
	} {
		got := domainRelease(stored(definition))
		if len(got.App.Services) != 0 || got.Number != 7 {
			t.Errorf("%s: got %+v, want no services and the rest of the release", name, got)
		}
		var rejected *agent.Rejected
		if err := (&Client{}).readable(got); !errors.As(err, &rejected) || rejected.Object.Name != "shop-7" {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestReleaseWithoutStatusIsPending(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)
	timeline := []agent.Moment{{Step: agent.StepNoticed, At: at}, {Step: agent.StepVerified, At: at.Add(time.Second)}}
	o := releaseResource(agent.Release{Status: agent.Status{Timeline: timeline}})
	if err := keepEarlyTimeline(o); err != nil {
		t.Fatal(err)
	}
	o.Status = v1alpha1.ReleaseStatus{} // creating drops it
	got := domainRelease(o).Status
	if diff := cmp.Diff(agent.Status{Phase: agent.Pending, Timeline: timeline}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.Annotations[annotationTimeline] = "edited by hand"
	if got := domainRelease(o).Status; len(got.Timeline) != 0 || got.Phase != agent.Pending {
		t.Errorf("got %+v, want Pending without moments", got)
	}
}

func TestStatusKeepsToTheSchema(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 20_000)
	status := statusResource(agent.Status{Message: long, Cause: &agent.Cause{
		Message: long, Next: long, Log: long, Events: strings.Split(strings.Repeat("event\n", 30)+long, "\n"),
	}})
	drift := agent.DriftRecord{Drift: agent.Drift{Fields: slices.Repeat([]string{long}, 20), By: long, Refused: long}}
	drifts := statusResource(agent.Status{Drift: slices.Repeat([]agent.DriftRecord{drift}, 2*agent.MaxDriftRecords)}).Drift
	sizes := map[string][2]int{
		"drift":   {len(drifts), agent.MaxDriftRecords},
		"fields":  {len(drifts[0].Fields), v1alpha1.MaxDriftFields},
		"field":   {len(drifts[0].Fields[0]), v1alpha1.MaxDriftField},
		"by":      {len(drifts[0].By), v1alpha1.MaxDriftBy},
		"refused": {len(drifts[0].Refused), v1alpha1.MaxEvent},
		"message": {len(status.Message), v1alpha1.MaxMessage},
		"cause":   {len(status.Cause.Message), v1alpha1.MaxMessage},
		"next":    {len(status.Cause.Next), v1alpha1.MaxMessage},
		"log":     {len(status.Cause.Log), v1alpha1.MaxLog},
		"events":  {len(status.Cause.Events), v1alpha1.MaxEvents},
		"event":   {len(status.Cause.Events[9]), v1alpha1.MaxEvent},
	}
	for name, size := range sizes {
		if size[0] > size[1] || size[0] < size[1]-5 {
			t.Errorf("%s: got %d, want about %d", name, size[0], size[1])
		}
	}
}

func TestAppRoundTrip(t *testing.T) {
	t.Parallel()
	want := filled[agent.App]()
	want.Previews = nil // resources of their own; see agent.App.With
	for i := range want.Environments {
		want.Environments[i].PullRequest, want.Environments[i].Host = 0, "" // of those alone
	}
	o := &v1alpha1.App{}
	o.Name = want.Name
	o.Spec = v1alpha1.AppSpec{Intents: want.Intents, Images: want.Images, History: want.History}
	for _, s := range want.Signers {
		o.Spec.Signers = append(o.Spec.Signers, v1alpha1.Signer(s))
	}
	for _, r := range want.Rules {
		o.Spec.Rules = append(o.Spec.Rules, v1alpha1.Rule(r))
	}
	for _, e := range want.Environments {
		o.Spec.Environments = append(o.Spec.Environments, v1alpha1.Environment{
			Name: e.Name, Namespace: e.Namespace, Production: e.Production, URL: e.URL,
			Domains: e.Domains, Routing: v1alpha1.Routing(e.Routing), Drift: string(e.Drift),
		})
	}
	o.Spec.Previews = &v1alpha1.PreviewPolicy{
		Namespace: want.PreviewPolicy.Namespace, Host: want.PreviewPolicy.Host, URL: want.PreviewPolicy.URL,
		Routing: v1alpha1.Routing(want.PreviewPolicy.Routing), Quota: v1alpha1.Quota(want.PreviewPolicy.Quota),
		Max: want.PreviewPolicy.Max, Drift: string(want.PreviewPolicy.Drift),
		Group: want.PreviewPolicy.Group, KeepLabel: want.PreviewPolicy.KeepLabel, WakeLabel: want.PreviewPolicy.WakeLabel,
		IdleTTL: want.PreviewPolicy.IdleTTL.String(), TTL: want.PreviewPolicy.TTL.String(),
		SleepAfter: want.PreviewPolicy.SleepAfter.String(), TeardownTimeout: want.PreviewPolicy.TeardownTimeout.String(),
		Databases: v1alpha1.PreviewDatabases{Postgres: (*v1alpha1.DatabaseClass)(want.PreviewPolicy.Postgres), Redis: (*v1alpha1.DatabaseClass)(want.PreviewPolicy.Redis)},
		Clone: &v1alpha1.CloneHook{
			Namespace: want.PreviewPolicy.Clone.Namespace, Image: want.PreviewPolicy.Clone.Image, Command: want.PreviewPolicy.Clone.Command,
			Source: want.PreviewPolicy.Clone.Source, Timeout: want.PreviewPolicy.Clone.Timeout.String(),
		},
		Forks: &v1alpha1.ForkPolicy{
			Heads: want.PreviewPolicy.Forks.Heads, Quota: v1alpha1.Quota(want.PreviewPolicy.Forks.Quota),
			IdleTTL: want.PreviewPolicy.Forks.IdleTTL.String(), TTL: want.PreviewPolicy.Forks.TTL.String(),
		},
		Egress: &v1alpha1.PreviewEgress{Open: want.PreviewPolicy.EgressOpen, Allow: want.PreviewPolicy.EgressAllow},
	}
	o.Status = appStatusResource(want.Status)
	encoded, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.App
	if err := json.Unmarshal(encoded, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, domainApp(&stored)); diff != "" {
		t.Errorf("lost on the way through the API server (-want +got):\n%s", diff)
	}
}

func TestPreviewRoundTrip(t *testing.T) {
	t.Parallel()
	want := filled[agent.Preview]()
	want.Line.Environment, want.Marks.Environment = "pr-7", "pr-7"
	for i, r := range want.Remains { // no more than what is yet to be told needs
		want.Remains[i] = agent.Release{
			Line: want.Line, Namespace: want.Namespace, Number: r.Number, Intent: r.Intent, Kind: r.Kind, Commit: r.Commit, Rule: r.Rule, Image: r.Image,
			Source: r.Source, IssuedAt: r.IssuedAt, Evidence: intent.Evidence{Scheme: r.Evidence.Scheme}, Removed: true,
			Status: agent.Status{
				Phase: agent.Superseded, Message: r.Status.Message, Timeline: r.Status.Timeline, Reported: r.Status.Reported, ReportedOn: r.Status.ReportedOn,
			},
		}
	}
	parked := &want.Waiting.Release // it begins anew
	parked.Line, parked.Namespace, parked.Removed, parked.Parked, parked.Asleep, parked.Version = want.Line, want.Namespace, false, false, false, ""
	parked.Status = agent.Status{Phase: agent.Pending}
	o := previewObject(want, "inhaul")
	if o.Name != previewName(want.Line) || o.Namespace != "inhaul" || o.Spec.PullRequest != 7 {
		t.Errorf("got %s in %s of pull request %d", o.Name, o.Namespace, o.Spec.PullRequest)
	}
	o.UID = types.UID(want.UID)
	o.Annotations = map[string]string{v1alpha1.AnnotationWake: want.WakeAsked.Format(time.RFC3339Nano)} // others write it
	encoded, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.Preview
	if err := json.Unmarshal(encoded, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, domainPreview(&stored)); diff != "" {
		t.Errorf("lost on the way through the API server (-want +got):\n%s", diff)
	}
}

func TestAppKeepsItsNewestRefusals(t *testing.T) {
	t.Parallel()
	var status agent.AppStatus
	for i := range 2 * v1alpha1.MaxRefusals {
		status.Refusals = append(status.Refusals, agent.Refusal{RunID: int64(i)})
	}
	got := appStatusResource(status).Refusals
	if len(got) != v1alpha1.MaxRefusals || got[len(got)-1].RunID != 2*v1alpha1.MaxRefusals-1 {
		t.Errorf("got %d refusals, the last of run %d", len(got), got[len(got)-1].RunID)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	lines := []agent.LineMarks{{Environment: "production", Current: 12}, {Environment: "new"}, {Environment: "staging", Current: 40}}
	if got, want := summary(lines), "production #12, staging #40"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
