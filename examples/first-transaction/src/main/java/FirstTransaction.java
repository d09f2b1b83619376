// Two orders: the first commits, the second rolls back. The coordinator's address is the only setting (see resources/file.conf).
import org.apache.seata.spring.annotation.GlobalTransactionScanner;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

public final class FirstTransaction {
    @Configuration
    static class Seata {
        @Bean
        static GlobalTransactionScanner scanner() {
            return new GlobalTransactionScanner("first-transaction", "default_tx_group");
        }
    }

    public static void main(String[] args) throws InterruptedException {
        var spring = new AnnotationConfigApplicationContext(Seata.class, Stock.Shelf.class, Orders.class);
        var orders = spring.getBean(Orders.class);
        orders.order(3, true);
        System.out.println("committed");
        try {
            orders.order(5, false);
        } catch (IllegalStateException e) {
            System.out.println("rolled back: " + e.getMessage());
        }
        System.exit(0);
    }
}
