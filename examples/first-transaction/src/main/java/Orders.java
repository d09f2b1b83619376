// The business: one method, one global transaction. If it throws, everything that took part is rolled back.
import org.apache.seata.core.context.RootContext;
import org.apache.seata.spring.annotation.GlobalTransactional;

public class Orders {
    private final Stock stock;

    public Orders(Stock stock) {
        this.stock = stock;
    }

    @GlobalTransactional(name = "order")
    public void order(int count, boolean paid) {
        System.out.println("order of " + count + " in transaction " + RootContext.getXID());
        stock.reserve(null, count);
        if (!paid) {
            throw new IllegalStateException("the payment failed");
        }
    }
}
