package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/spec"
)

// writeKeys makes two signing keys in dir: trusted.pem with trusted.pub, and
// stranger.pem, which no App knows.
func writeKeys(dir string) error {
	for _, name := range []string{"trusted", "stranger"} {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		privateDER, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return err
		}
		publicDER, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return err
		}
		for file, block := range map[string]*pem.Block{
			name + ".pem": {Type: "PRIVATE KEY", Bytes: privateDER},
			name + ".pub": {Type: "PUBLIC KEY", Bytes: publicDER},
		} {
			if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish puts an intent into the app's repository as an attacker or another CI
// system would, and sets $INTENT to its digest. issued counts from now, event from
// when it was issued:
//
//	publish [key=FILE] [run=N] [ref=REF] [repository-id=N] [environment=NAME]
//	        [commit=SHA] [event=-1h] [issued=-1h] [valid=24h] [pull-request=N] [pull=N] [head=SHA] [broken] [worker] [tamper] [unsigned]
//	        [image=REFERENCE] [save=FILE] [replay=FILE]
//
// pull-request is one that gets a preview, pull one that a push belongs to.
func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("publish cannot fail")
	}
	o := map[string]string{
		"key": "trusted.pem", "run": "1", "ref": "refs/heads/main", "repository-id": ts.Getenv("REPOSITORY_ID"),
		"environment": "production", "event": "0s", "issued": "0s", "valid": "24h", "commit": strings.Repeat("c0ffee00", 5),
		"image": ts.Getenv("LAB_REGISTRY") + "/" + ts.Getenv("REPOSITORY") + "@sha256:" + strings.Repeat("ab", 32),
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		o[name] = value
	}
	if number := o["pull-request"]; number != "" {
		o["environment"], o["ref"] = "pr-"+number, "refs/pull/"+number+"/merge"
	}
	statement, err := statementOf(o, ts.Getenv("APP"), ts.Getenv("REPOSITORY"))
	ts.Check(err)
	key, err := os.ReadFile(ts.MkAbs(o["key"]))
	ts.Check(err)
	signer, err := intent.NewKeySigner(key)
	ts.Check(err)
	envelope, digest, err := intent.Sign(context.Background(), statement, signer)
	ts.Check(err)
	issuedAt := statement.Predicate.IssuedAt
	if file := o["replay"]; file != "" { // the same bytes under a new tag
		envelope = []byte(ts.ReadFile(file))
		e, err := intent.Decode(envelope)
		ts.Check(err)
		digest = e.Digest()
	}
	if _, tamper := o["tamper"]; tamper {
		envelope = flip(envelope)
	}
	if _, unsigned := o["unsigned"]; unsigned {
		envelope = envelope[:strings.Index(string(envelope), `"signatures":[`)+len(`"signatures":[`)]
		envelope = append(envelope, "]}"...)
	}
	if file := o["save"]; file != "" {
		ts.Check(os.WriteFile(ts.MkAbs(file), envelope, 0o600))
	}
	ts.Check(os.Setenv("DOCKER_CONFIG", ts.Getenv("DOCKER_CONFIG")))
	registry := oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(transport(ts)))
	tag := oci.Tag(o["environment"], issuedAt, digest)
	_, err = registry.Publish(context.Background(), ts.Getenv("LAB_REGISTRY")+"/"+ts.Getenv("REPOSITORY")+"-intents", tag, envelope)
	ts.Check(err)
	ts.Setenv("INTENT", digest)
	ts.Setenv("TAG", tag)
}

func statementOf(o map[string]string, app, repository string) (intent.Statement, error) {
	issued, err := time.ParseDuration(o["issued"])
	if err != nil {
		return intent.Statement{}, err
	}
	event, err := time.ParseDuration(o["event"])
	if err != nil {
		return intent.Statement{}, err
	}
	valid, err := time.ParseDuration(o["valid"])
	if err != nil {
		return intent.Statement{}, err
	}
	run, err := strconv.ParseInt(o["run"], 10, 64)
	if err != nil {
		return intent.Statement{}, err
	}
	repositoryID, err := strconv.ParseInt(o["repository-id"], 10, 64)
	if err != nil {
		return intent.Statement{}, err
	}
	pull, err := strconv.Atoi(o["pull"])
	if err != nil && o["pull"] != "" {
		return intent.Statement{}, err
	}
	at := time.Now().UTC().Add(issued).Truncate(time.Millisecond)
	service := spec.Service{
		Name: "web", Type: spec.Web, Port: 8080, Replicas: 1, CPU: "10m", Memory: "16Mi",
		Run: spec.Command{Exec: []string{"httpd", "-f", "-p", "8080"}}, Env: map[string]string{"RUN": fmt.Sprint(run)},
	}
	if _, broken := o["broken"]; broken {
		service.Run.Exec = []string{"broken"}
	}
	if _, worker := o["worker"]; worker { // which takes three seconds to settle
		service.Type, service.Port = spec.Worker, 0
	}
	happened, pullRequest := "push", 0
	if number := o["pull-request"]; number != "" {
		happened = "pull_request"
		if pullRequest, err = strconv.Atoi(number); err != nil {
			return intent.Statement{}, err
		}
	}
	return intent.New(o["image"], intent.Predicate{
		Kind: intent.Deploy, App: app, Environment: o["environment"],
		Source: intent.Source{
			Repository: repository, RepositoryID: repositoryID, RepositoryOwnerID: 1, Ref: o["ref"], Commit: o["commit"],
			Event: happened, PullRequest: max(pullRequest, pull), EventAt: at.Add(event), WorkflowRef: repository + "/.github/workflows/deploy.yml@" + o["ref"],
			RunID: run, RunNumber: run, RunAttempt: 1, Actor: "mallory", HeadCommit: o["head"],
		},
		Spec:     &spec.App{Name: app, Services: []spec.Service{service}},
		IssuedAt: at, ExpiresAt: at.Add(valid),
	}), nil
}

// flip changes one character in the middle of the signature, and keeps it
// base64.
func flip(envelope []byte) []byte {
	i := strings.Index(string(envelope), `"sig":"`) + len(`"sig":"`) + 20
	changed := append([]byte(nil), envelope...)
	if changed[i] = 'A'; envelope[i] == 'A' {
		changed[i] = 'B'
	}
	return changed
}
