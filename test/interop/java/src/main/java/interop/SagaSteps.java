// The services of the saga: they note their calls; one can be made to fail.
package interop;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

public class SagaSteps {
    private final List<String> calls = new CopyOnWriteArrayList<>();

    public boolean reserve(int amount) {
        return note("reserve " + amount);
    }

    public boolean release(int amount) {
        return note("release " + amount);
    }

    public boolean charge(int amount, boolean fails) {
        note("charge " + amount);
        if (fails) {
            throw new IllegalStateException("this charge fails");
        }
        return true;
    }

    public boolean refund(int amount) {
        return note("refund " + amount);
    }

    private boolean note(String call) {
        return calls.add(call);
    }

    List<String> calls() {
        return List.copyOf(calls);
    }

    void start() {
        calls.clear();
    }
}
