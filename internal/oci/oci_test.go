package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	intents = host + "/shop-intents"
	images  = host + "/shop"
)

func TestPublishThenFetch(t *testing.T) {
	t.Parallel()
	_, r := newECR(t)
	envelope := []byte(`{"payload":"…"}`)
	digest, err := r.Publish(t.Context(), intents, "production.1", envelope)
	if err != nil || !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("got %q, %v", digest, err)
	}
	got, err := r.Fetch(t.Context(), intents, "production.1")
	if err != nil || !bytes.Equal(got, envelope) {
		t.Errorf("got %q, %v, want the envelope", got, err)
	}
	t.Run("again is no error and the same digest", func(t *testing.T) {
		again, err := r.Publish(t.Context(), intents, "production.1", envelope)
		if err != nil || again != digest {
			t.Errorf("got %q, %v, want %q", again, err, digest)
		}
	})
	t.Run("refuses another envelope under the tag", func(t *testing.T) {
		_, err := r.Publish(t.Context(), intents, "production.1", []byte("{}"))
		if !errors.Is(err, ErrTaken) {
			t.Errorf("got %v, want ErrTaken", err)
		}
	})
	t.Run("has the shape of OCI 1.0", func(t *testing.T) {
		var raw map[string]any
		image, err := newArtifact(intentKind(), envelope)
		if err != nil {
			t.Fatal(err)
		}
		manifest, _ := image.RawManifest()
		if err := json.Unmarshal(manifest, &raw); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"artifactType", "subject", "annotations"} {
			if _, there := raw[key]; there {
				t.Errorf("got %s in %s", key, manifest)
			}
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	_, r := newECR(t)
	for _, c := range []struct {
		name, repository string
		envelope         []byte
		want             error
		text             string
	}{
		{"a repository that does not exist", host + "/nowhere", []byte("{}"), ErrNotFound, "the repository nowhere does not exist: create it"},
		{"a large envelope", intents, make([]byte, MaxEnvelopeBytes+1), ErrTooLarge, "262145 bytes"},
		{"a repository without registry", "acme/shop", []byte("{}"), nil, "want it with its registry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Publish(t.Context(), c.repository, "t", c.envelope)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

func TestRefusalsTellApartWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		keys *keychain
		want string
	}{
		{"no credentials", &keychain{host: "other.example.com"}, "refused by registry: example.com wants a login and there are no credentials for it: run `docker login example.com`, or in a workflow aws-actions/amazon-ecr-login, in a step before"},
		{"wrong credentials", &keychain{host: host, user: "AWS", password: "hunter2"}, "refused by registry: example.com does not take the credentials there are for it (wrong, or too old): log in again in a step before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, r := newECR(t, WithKeychain(c.keys))
			_, _, err := r.FindImage(t.Context(), images, "t")
			if !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %v, want …%s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "arn:") || strings.Contains(err.Error(), "1234567") {
				t.Errorf("got a secret in %v", err)
			}
			if _, err := r.Publish(t.Context(), intents, "t", []byte("{}")); !errors.Is(err, ErrRefused) {
				t.Errorf("publishing: got %v, want ErrRefused", err)
			}
		})
	}
}

func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	e, r := newECR(t, withPageSize(2))
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("production.%d", i))
		e.put("shop-intents", want[i], "application/json", "{}")
	}
	got, err := r.List(t.Context(), intents)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	_, r := newECR(t)
	for _, repository := range []string{host + "/nowhere", intents} {
		got, err := r.List(t.Context(), repository)
		if err != nil || len(got) != 0 {
			t.Errorf("%s: got %v, %v, want nothing", repository, got, err)
		}
	}
}

func TestListEnds(t *testing.T) {
	t.Parallel()
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `</v2/shop/tags/list?last=x>; rel="next"`)
		fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Repeat(`x","`, 20_000))
	})
	r := New(WithTransport(handlerTransport{endless}))
	if _, err := r.List(t.Context(), images); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestAPollIsOneRequest(t *testing.T) {
	t.Parallel()
	e, r := newECR(t)
	if _, err := r.List(t.Context(), intents); err != nil {
		t.Fatal(err)
	}
	e.sent()
	if _, err := r.List(t.Context(), intents); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET /v2/shop-intents/tags/list"}, e.sent()); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}

func TestAnOldLoginIsRenewed(t *testing.T) {
	t.Parallel()
	keys := &keychain{host: host, user: "AWS", password: "tok"}
	e, r := newECR(t, WithKeychain(keys))
	if _, err := r.List(t.Context(), intents); err != nil {
		t.Fatal(err)
	}
	e.setToken("tok2")
	keys.set("tok2")
	if _, err := r.List(t.Context(), intents); err != nil {
		t.Errorf("got %v, want a new login", err)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	e, r := newECR(t)
	manifest := func(config, layer string, size int) string {
		const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
		return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`, config, zero, layer, zero, size)
	}
	const config, layer, oci = string(ConfigMediaType), string(EnvelopeMediaType), string(types.OCIManifestSchema1)
	e.put("shop-intents", "garbage", oci, "\x00garbage")
	e.put("shop-intents", "index", string(types.DockerManifestSchema2), "{}")
	e.put("shop-intents", "image", oci, manifest("application/vnd.oci.image.config.v1+json", layer, 2))
	e.put("shop-intents", "layer", oci, manifest(config, "application/octet-stream", 2))
	e.put("shop-intents", "two", oci, strings.Replace(manifest(config, layer, 2), `"layers":[`, `"layers":[{},`, 1))
	e.put("shop-intents", "oversize", oci, manifest(config, layer, MaxEnvelopeBytes+1))
	e.put("shop-intents", "padded", oci, manifest(config, layer, 2)+strings.Repeat(" ", maxManifestBytes))
	e.put("shop-intents", "hollow", oci, manifest(config, layer, 2))
	for tag, want := range map[string]error{
		"garbage": ErrNotIntent, "index": ErrNotIntent, "image": ErrNotIntent, "layer": ErrNotIntent, "two": ErrNotIntent,
		"oversize": ErrTooLarge, "padded": ErrTooLarge, "hollow": ErrNotFound, "missing": ErrNotFound,
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			if _, err := r.Fetch(t.Context(), intents, tag); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func TestFetchReadsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0", 64)
	liar := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			fmt.Fprintf(w, `{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":9}]}`,
				ConfigMediaType, digest, EnvelopeMediaType, digest)
			return
		}
		_, _ = w.Write(make([]byte, 10<<20))
	})
	_, err := New(WithTransport(handlerTransport{liar})).Fetch(t.Context(), intents, "t")
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	_, r := newECR(t)
	amd, arm := withUser(t, "1000:1000"), withUser(t, "node")
	one := index(t, map[string]v1.Image{"amd64": amd, "unknown": randomImage(t)})
	two := index(t, map[string]v1.Image{"amd64": amd, "arm64": arm})
	for tag, taggable := range map[string]remote.Taggable{"plain": arm, "one": one, "two": two} {
		repository, err := r.repository(images)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Push(repository.Tag(tag), taggable, r.options()...); err != nil {
			t.Fatal(err)
		}
	}
	for tag, c := range map[string]struct {
		image interface{ Digest() (v1.Hash, error) }
		user  string
	}{"plain": {arm, "node"}, "one": {amd, "1000:1000"}, "two": {two, ""}} {
		digest, err := c.image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		want := Deployable{Digest: digest.String(), User: c.user}
		got, err := r.Platform(t.Context(), images+":"+tag)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", tag, got, err, want)
		}
		found, ok, err := r.FindImage(t.Context(), images, tag)
		if err != nil || !ok {
			t.Fatalf("%s: got %v, %v, want it found", tag, ok, err)
		}
		if got, err = r.Platform(t.Context(), images+"@"+found); err != nil || got != want {
			t.Errorf("%s by digest: got %v, %v, want %v", tag, got, err, want)
		}
	}
	for _, repository := range []string{images, host + "/nowhere"} {
		if _, ok, err := r.FindImage(t.Context(), repository, "missing"); ok || err != nil {
			t.Errorf("%s: got %v, %v, want nothing found", repository, ok, err)
		}
	}
	if _, err := r.Platform(t.Context(), images+":missing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func withUser(t *testing.T, user string) v1.Image {
	t.Helper()
	image, err := mutate.Config(randomImage(t), v1.Config{User: user})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func index(t *testing.T, images map[string]v1.Image) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for arch, image := range images {
		os := "linux"
		if arch == "unknown" {
			os = arch
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: arch}},
		})
	}
	return index
}

func TestTag(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 23, 15, 2, 123456789, time.FixedZone("east", 3600))
	tag := Tag("production", at, "sha256:0123456789abcdef")
	if want := "production.20261122T221502.123Z.0123456789ab"; tag != want {
		t.Fatalf("got %s, want %s", tag, want)
	}
	environment, issuedAt, prefix, ok := ParseTag(tag)
	if !ok || environment != "production" || prefix != "0123456789ab" || !issuedAt.Equal(at.Truncate(time.Millisecond)) || issuedAt.Location() != time.UTC {
		t.Errorf("got %q, %v, %q, %v", environment, issuedAt, prefix, ok)
	}
	if later := Tag("production", at.Add(time.Millisecond), "sha256:000000000000"); later <= tag {
		t.Errorf("%s does not sort after %s", later, tag)
	}
	for _, bad := range []string{
		"", "latest", "production.1", "production.20261122T221502.123Z.", "production.20261122T221502.123Z.0123456789AB",
		"production.20261122T221502.123Z.0123456789a", "production.20261322T221502.123Z.0123456789ab",
		"production.20261122T221502.1234Z.0123456789ab", "Production.20261122T221502.123Z.0123456789ab",
		"-.20261122T221502.123Z.0123456789ab", ".20261122T221502.123Z.0123456789ab",
	} {
		if _, _, _, ok := ParseTag(bad); ok {
			t.Errorf("%q: got a tag of ours, want none", bad)
		}
	}
}

func FuzzParseTag(f *testing.F) {
	f.Add("production.20261122T221502.123Z.0123456789ab")
	f.Add("pr-7.20261122T221502.123Z.0123456789ab")
	f.Fuzz(func(t *testing.T, tag string) {
		environment, issuedAt, prefix, ok := ParseTag(tag)
		if ok && Tag(environment, issuedAt, "sha256:"+prefix) != tag {
			t.Errorf("%q is not what Tag makes of its parts", tag)
		}
	})
}
