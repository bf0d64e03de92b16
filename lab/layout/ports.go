package layout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are the loopback ports of one lab. They stay the same over down and up
// when they are still free, because image references contain one.
type Ports struct {
	API      int `json:"api"`
	Etcd     int `json:"etcd"`
	EtcdPeer int `json:"etcdPeer"`
	Registry int `json:"registry"`
	Mirror   int `json:"mirror"`
	GitHub   int `json:"github"`
	Proxy    int `json:"proxy"`
}

// Ports are taken from below the ephemeral range (32768 on Linux), so that no
// outgoing connection sits on one.
const (
	firstPort = 20000
	lastPort  = 32000
	portTries = 1000
)

// ErrNoPort means that the whole range is taken.
var ErrNoPort = errors.New("no free loopback port found")

// Choose keeps each port that is free and replaces the others.
func (p Ports) Choose(ctx context.Context) (Ports, error) {
	all := []*int{&p.API, &p.Etcd, &p.EtcdPeer, &p.Registry, &p.Mirror, &p.GitHub, &p.Proxy}
	held := make([]net.Listener, 0, len(all))
	defer func() { // held until all are chosen, so that none is chosen twice
		for _, l := range held {
			l.Close()
		}
	}()
	for _, port := range all {
		l, err := claim(ctx, *port)
		if err != nil {
			return Ports{}, err
		}
		held = append(held, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// FreePort returns a loopback port that nobody listens on.
func FreePort(ctx context.Context) (int, error) {
	l, err := claim(ctx, 0)
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func claim(ctx context.Context, wanted int) (net.Listener, error) {
	var config net.ListenConfig
	if wanted != 0 {
		if l, err := config.Listen(ctx, "tcp4", loopback(wanted)); err == nil {
			return l, nil
		}
	}
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if l, err := config.Listen(ctx, "tcp4", loopback(port)); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w between %d and %d", ErrNoPort, firstPort, lastPort)
}
