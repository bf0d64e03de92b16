package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

// The databases of the tests.
func mainDatabase() spec.Database {
	return spec.Database{Name: "main", Type: "postgres", Version: "17", Env: "DATABASE_URL"}
}

func cacheDatabase() spec.Database {
	return spec.Database{Name: "cache", Type: "redis", Env: "REDIS_URL"}
}

// classes are what the platform of the tests makes databases of; more is put beside.
func (f *fixture) classes(t *testing.T, postgres, more string) {
	t.Helper()
	before := f.Apps()
	f.putPreviews(t, `{"namespace":"`+f.namespace+`-pr-{number}","quota":{"cpu":"2","pods":8},"databases":{
		"postgres":{"image":"mirror.example.com/postgres:{version}"`+postgres+`},"redis":{"image":"mirror.example.com/redis:8","cpu":"10m","memory":"32Mi"}}`+more+`}`)
	eventually(t, "the App's classes are in the cache", func() bool {
		now := f.Apps()
		return now[0].PreviewPolicy.Postgres != nil && (len(before) == 0 || strings.Contains(fmt.Sprintf("%+v%+v", *now[0].PreviewPolicy.Postgres, now[0].PreviewPolicy.Clone), strings.Trim(strings.Split(postgres+`,"":"`, `:"`)[1], `",`)))
	})
}

// started is r with its databases, which are ready.
func (f *fixture) started(t *testing.T, r agent.Release) agent.Release {
	t.Helper()
	objects, err := f.StartDatabases(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.Status.Inventory = with(r.Status.Inventory, objects...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen []agent.DatabaseObservation
	err = f.WatchDatabases(ctx, r, func(all []agent.DatabaseObservation) bool {
		seen = all
		return !slices.ContainsFunc(all, func(o agent.DatabaseObservation) bool { return !o.Ready })
	})
	if err != nil || len(seen) != len(r.App.Databases) {
		t.Fatalf("waiting for databases: %v; last seen: %+v", err, seen)
	}
	return r
}

// fact is what must not change of an object.
func (f *fixture) fact(t *testing.T, r agent.Release, d spec.Database) string {
	t.Helper()
	secret, err := f.admin.core.Secrets(r.Namespace).Get(t.Context(), render.CredentialsName("shop", d), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := f.admin.apps.Deployments(r.Namespace).Get(t.Context(), render.DatabaseName("shop", d), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if secret.Immutable == nil || !*secret.Immutable || len(secret.Data["password"]) != 2*passwordBytes {
		t.Errorf("got Secret %s with a password of %d characters, want it immutable and long", secret.Name, len(secret.Data["password"]))
	}
	return fmt.Sprint(secret.UID, secret.ResourceVersion, string(secret.Data["url"]), made.UID, made.Generation)
}

// withDatabases is release number of a preview that has databases.
func withDatabases(r agent.Release, number int) agent.Release {
	r.Number = number
	r.Intent = "sha256:" + strings.Repeat(fmt.Sprintf("%x", number%16), 64)
	r.App.Databases = []spec.Database{cacheDatabase(), mainDatabase()}
	r.App.Services = slices.Clone(r.App.Services)
	r.App.Services[0].Replicas, r.App.Services[0].Env = 1, map[string]string{"RELEASE": fmt.Sprint(number)}
	return r
}

func TestDatabasesAreMadeOnceAndStay(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	f.classes(t, "", "")
	first, _ := f.preview(t)
	facts, urls := map[string]string{}, map[string]string{}
	var r agent.Release
	for number := range 6 {
		if number == 3 { // another agent, whose caches are empty
			config, log := testConfig(t)
			config.Impersonate.UserName = "system:serviceaccount:" + f.namespace + ":inhaul-agent"
			f = start(t, config, log, f.namespace)
		}
		r = f.started(t, f.created(t, withDatabases(first, number+1)))
		f.requests.take()
		again, err := f.StartDatabases(t.Context(), r)
		if sent := writes(f.requests.take()); err != nil || len(sent) > 0 {
			t.Errorf("once more: got %v, %v; want nothing written", sent, err)
		}
		if len(again) != 6 || slices.ContainsFunc(again, func(o agent.Object) bool { return o.Kind == "Secret" }) {
			t.Errorf("got %v: want three objects of each, and no credentials", again)
		}
		if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if r, err = f.UpdateRelease(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, d := range r.App.Databases {
			if fact := f.fact(t, r, d); facts[d.Name] != "" && facts[d.Name] != fact {
				t.Errorf("release %d: %s has changed: got %s, want %s", r.Number, d.Name, fact, facts[d.Name])
			} else {
				facts[d.Name] = fact
			}
		}
		for _, service := range []string{"web", "worker"} {
			secret, name := f.secretOf(t, r.Namespace, service)
			url := string(secret.Data["DATABASE_URL"]) + " " + string(secret.Data["REDIS_URL"]) + " " + name
			if urls[service] != "" && urls[service] != url {
				t.Errorf("release %d: %s gets other URLs than before", r.Number, service)
			}
			urls[service] = url
			host := "." + r.Namespace + ".svc:"
			if !strings.HasPrefix(url, "postgres://app:") || !strings.Contains(url, "@shop--main-postgres-17"+host+"5432/app?sslmode=disable redis://:") || !strings.Contains(url, "@shop--cache-redis"+host+"6379/0") {
				t.Errorf("%s gets %s", service, url)
			}
		}
	}
	f.awaitObservation(t, r, live)
	f.isSecret(t, r)
	f.leaves(t, r)
}

// isSecret looks for the values of r's databases where they must not be.
func (f *fixture) isSecret(t *testing.T, r agent.Release) {
	t.Helper()
	values, err := f.ownValues(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := f.admin.core.Secrets(r.Namespace).Get(t.Context(), render.CredentialsName("shop", mainDatabase()), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	password := string(secret.Data["password"])
	if got := values.scrub("FATAL: password " + password + " is wrong"); strings.Contains(got, password) {
		t.Errorf("a log would show %q", got)
	}
	for _, kind := range []string{"deployments", "replicasets"} {
		all, err := f.admin.apps.RESTClient().Get().Namespace(r.Namespace).Resource(kind).Do(t.Context()).Raw()
		if err != nil || strings.Contains(string(all), password) {
			t.Errorf("%s have the password, %v", kind, err)
		}
	}
	release, err := f.admin.custom.Get().Namespace(r.Namespace).Resource(v1alpha1.Releases).Do(t.Context()).Raw()
	if err != nil || strings.Contains(string(release), password) {
		t.Errorf("releases have the password, %v", err)
	}
}

// leaves takes a database out of r's app and puts it back.
func (f *fixture) leaves(t *testing.T, old agent.Release) {
	t.Helper()
	before := f.fact(t, old, mainDatabase())
	r := withDatabases(old, old.Number+1)
	r.Status, r.App.Databases = agent.Status{}, []spec.Database{mainDatabase()}
	r = f.started(t, f.created(t, r))
	inventory, err := f.Apply(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what has left is pruned", func() bool {
		left, err := f.Prune(t.Context(), old, old.Status.Inventory, inventory)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
	for _, o := range []agent.Object{{Kind: "Deployment", APIVersion: "apps/v1"}, {Kind: "Service", APIVersion: "v1"}, {Kind: "NetworkPolicy", APIVersion: "networking.k8s.io/v1"}} {
		o.Namespace = r.Namespace
		if o.Name = render.DatabaseName("shop", cacheDatabase()); f.exists(t, o) {
			t.Errorf("%s %s is there still", o.Kind, o.Name)
		}
		if o.Name = render.DatabaseName("shop", mainDatabase()); !f.exists(t, o) {
			t.Errorf("%s %s was pruned, and its database stays", o.Kind, o.Name)
		}
	}
	if after := f.fact(t, r, mainDatabase()); after != before {
		t.Errorf("got %s, want %s: it was touched", after, before)
	}
	secret, err := f.admin.core.Secrets(r.Namespace).Get(t.Context(), render.CredentialsName("shop", cacheDatabase()), metav1.GetOptions{})
	if err != nil {
		t.Fatalf("the credentials of a database that may come back: %v", err)
	}
	back := withDatabases(old, old.Number+2)
	back.Status = agent.Status{}
	back = f.started(t, f.created(t, back))
	if _, err := f.Apply(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if fact := f.fact(t, back, cacheDatabase()); !strings.Contains(fact, string(secret.UID)) {
		t.Error("it came back with other credentials")
	}
}

func TestDatabasesThatCannotBe(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	r, _ := f.preview(t)
	r = f.created(t, withDatabases(r, 1))
	refused := func(what, want string, r agent.Release) {
		t.Helper()
		f.requests.take()
		_, err := f.StartDatabases(t.Context(), r)
		if rejected := (*agent.Rejected)(nil); !errors.As(err, &rejected) || !strings.Contains(rejected.Message, want) {
			t.Errorf("%s: got %v, want it refused: %s", what, err, want)
		}
		if sent := writes(f.requests.take()); len(sent) > 0 {
			t.Errorf("%s: written: %v", what, sent)
		}
	}
	refused("no class", "database cache: the platform has no databases of type redis for previews: the platform owner says spec.previews.databases.redis", r)
	if _, err := f.Objects(t.Context(), r); err == nil {
		t.Error("what cannot be made is planned")
	}
	elsewhere := r
	elsewhere.Line.Environment = "production"
	refused("elsewhere", "previews alone have", elsewhere)
	f.classes(t, "", "")
	strange := r
	strange.App.Databases = []spec.Database{{Name: "cache", Type: "redis", Version: "7", Env: "REDIS_URL"}}
	refused("a version that there is no image of", "version 7 is asked for", strange)
	mine := render.CredentialsName("shop", cacheDatabase())
	f.putSecret(t, r.Namespace, mine, map[string]string{"url": "redis://mine"})
	refused("somebody else's Secret", "Inhaul did not make it", r)
	if err := f.admin.core.Secrets(r.Namespace).Delete(t.Context(), mine, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r = f.started(t, r)
	if err := f.admin.core.Secrets(r.Namespace).Delete(t.Context(), mine, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	refused("lost credentials", "somebody has deleted its credentials: close the pull request and open it again", r)
	if _, err := f.Apply(t.Context(), r); err == nil || !strings.Contains(err.Error(), "deleted its credentials") {
		t.Errorf("deploying with lost credentials: got %v", err)
	}
}

// TestClassOfADatabaseThatRuns changes the platform owner's word under it.
func TestClassOfADatabaseThatRuns(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	f.classes(t, `,"cpu":"11m"`, "")
	r, _ := f.preview(t)
	r = f.started(t, f.created(t, withDatabases(r, 1)))
	before := f.fact(t, r, mainDatabase())
	f.classes(t, `,"cpu":"12m"`, "")
	r = f.started(t, r)
	if after := f.fact(t, r, mainDatabase()); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
	newer := mainDatabase()
	newer.Version = "18"
	r.App.Databases = []spec.Database{newer}
	r = f.started(t, r)
	made, err := f.admin.apps.Deployments(r.Namespace).Get(t.Context(), render.DatabaseName("shop", newer), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	container := made.Spec.Template.Spec.Containers[0]
	if got := container.Resources.Requests.Cpu().String() + " " + container.Image; got != "12m mirror.example.com/postgres:18" {
		t.Errorf("another version: got %s", got)
	}
	if after := f.fact(t, r, mainDatabase()); after != before {
		t.Errorf("the one that another release has: got %s, want %s", after, before)
	}
}

func TestDriftOfDatabases(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	f.classes(t, "", "")
	r, _ := f.preview(t)
	r = f.started(t, f.created(t, withDatabases(r, 1)))
	var err error
	if r.Status.Inventory, err = f.Apply(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	before := f.fact(t, r, mainDatabase())
	policy := agent.Object{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: r.Namespace, Name: render.DatabaseName("shop", mainDatabase())}
	f.patch(t, "kubectl-edit", policy, `{"spec":{"ingress":[{}]}}`)
	eventually(t, "an opened database is closed", func() bool {
		found, err := f.Drifted(t.Context(), r, agent.DriftRevert, everyObject)
		if err != nil {
			t.Fatal(err)
		}
		var objects []agent.Object
		for _, d := range found {
			objects = append(objects, d.Object)
		}
		if err := f.Settle(t.Context(), r, objects, nil); err != nil {
			t.Fatal(err)
		}
		return slices.Contains(objects, policy)
	})
	there, err := f.admin.networking.NetworkPolicies(r.Namespace).Get(t.Context(), policy.Name, metav1.GetOptions{})
	if err != nil || len(there.Spec.Ingress) != 1 || len(there.Spec.Ingress[0].From) != 1 {
		t.Errorf("got %+v, %v", there.Spec, err)
	}
	if after := f.fact(t, r, mainDatabase()); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// TestDatabaseWithAVolume has no pod that runs: nothing in the cluster makes volumes.
func TestDatabaseWithAVolume(t *testing.T) {
	t.Parallel()
	f := previewing(t)
	f.classes(t, `,"storage":"1Gi"`, "")
	r, _ := f.preview(t)
	r = f.created(t, withDatabases(r, 1))
	r.App.Databases = []spec.Database{mainDatabase()}
	for range 2 {
		if _, err := f.StartDatabases(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	name := render.DatabaseName("shop", mainDatabase())
	claim, err := f.admin.core.PersistentVolumeClaims(r.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || claim.Spec.Resources.Requests.Storage().String() != "1Gi" {
		t.Fatalf("got %+v, %v", claim.Spec, err)
	}
	before := f.fact(t, r, mainDatabase())
	f.classes(t, `,"storage":"2Gi"`, "")
	if _, err := f.StartDatabases(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if after := f.fact(t, r, mainDatabase()); after != before {
		t.Errorf("the class of a database that has a volume was changed: got %s, want %s", after, before)
	}
}
