// Command faulty is an app that fails in the way that its first argument says.
// Without one it serves its version on PORT. Whatever it does, it first logs the
// secret that it was given, as careless apps do.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	if token := os.Getenv("TOKEN"); token != "" {
		fmt.Println("connecting with", token)
	}
	way := "serve"
	if len(os.Args) > 1 {
		way = os.Args[1]
	}
	port := os.Getenv("PORT")
	health := http.StatusOK
	switch way {
	case "crash": // crash CODE
		fmt.Println("cannot read the settings: there are none")
		os.Exit(number())
	case "grow":
		fmt.Println("reading everything into memory")
		grow()
	case "hang":
		fmt.Println("waiting for a lock that nobody releases")
		time.Sleep(time.Hour)
	case "elsewhere": // elsewhere PORT
		port = os.Args[2]
		fmt.Println("listening on port " + port)
	case "ill":
		fmt.Println("the queue is not connected")
		health = http.StatusInternalServerError
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(health) })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("VERSION")) })
	panic(http.ListenAndServe(":"+port, nil))
}

func number() int {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	return n
}

// grow takes memory, and writes to it, until somebody ends it.
func grow() {
	const step = 1 << 20
	var kept [][]byte
	for {
		block := make([]byte, step)
		for i := range block {
			block[i] = byte(i)
		}
		kept = append(kept, block)
		time.Sleep(time.Millisecond)
		if len(kept) > 4<<10 { // nobody did
			panic("still there with 4 GiB")
		}
	}
}
