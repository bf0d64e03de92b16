package layout

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPortsStayWhenTheyAreFree(t *testing.T) {
	t.Parallel()
	first, err := Ports{}.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", loopback(first.Registry))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	second, err := first.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.Registry == first.Registry {
		t.Errorf("port %d is taken and was chosen again", first.Registry)
	}
	second.Registry = first.Registry
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("free ports changed: %s", diff)
	}
	seen := map[int]bool{}
	for _, p := range []int{first.API, first.Etcd, first.EtcdPeer, first.Registry, first.Mirror, first.GitHub, first.Proxy} {
		if p < firstPort || p >= lastPort || seen[p] {
			t.Errorf("port %d: out of range or chosen twice", p)
		}
		seen[p] = true
	}
}

func TestLabIsSavedAndLoaded(t *testing.T) {
	t.Parallel()
	lab := &Lab{Dir: t.TempDir(), Mode: Real, Ready: true, Ports: Ports{API: 1}, Programs: Programs{K8sbox: "/k"}}
	if _, err := Load(lab.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before saving: got %v, want fs.ErrNotExist", err)
	}
	if err := lab.Save(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(lab.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lab, got); diff != "" {
		t.Error(diff)
	}
}

func TestWipeSparesWhatIsNotTheLabs(t *testing.T) {
	t.Parallel()
	lab := &Lab{Dir: t.TempDir()}
	foreign := filepath.Join(lab.Dir, "thesis.tex")
	for _, path := range []string{foreign, lab.Path("etcd", "member"), lab.Path("stage", "agent.kubeconfig"), lab.Path("lab.json")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.Wipe(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(lab.Dir)
	if err != nil || len(left) != 1 || left[0].Name() != "thesis.tex" {
		t.Errorf("got %v, %v, want only thesis.tex", left, err)
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	if err := lab.Wipe(); err != nil || Exists(lab.Dir) {
		t.Errorf("empty directory: got %v", err)
	}
}
